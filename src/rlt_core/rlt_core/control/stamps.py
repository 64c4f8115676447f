"""Which messages are new, by the stamps of their senders."""

from __future__ import annotations

from collections.abc import Iterable


class Stamps:
    """Distinguishes a new measurement from an old one that is sent again.

    A new one has a later stamp than the previous message, or no stamp, since not every driver sets
    stamps. When a driver's clock is set back, one message is lost.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def fresh(self, sources: Iterable[str], stamp: float) -> list[str]:
        """Return the sources for which a message is new.

        Args:
            sources: What the message reports, e.g. a topic, or the joints that it names.
            stamp: Its stamp, s; 0 if it has none.
        """
        named = list(sources)
        later = [source for source in named if not 0.0 < stamp <= self._last.get(source, 0.0)]
        self._last |= dict.fromkeys(named, stamp)
        return later
