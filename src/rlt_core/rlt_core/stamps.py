"""Which messages are news, by the stamps that their senders put on them."""

from __future__ import annotations

from collections.abc import Iterable


class Stamps:
    """Tells news from an old measurement that is sent again with a fresh receipt.

    News has a later stamp than the message before, or none, since not every driver sets stamps.
    A clock that is set back costs one message.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def news(self, sources: Iterable[str], stamp: float) -> list[str]:
        """Return those of a message's sources of which it is news.

        Args:
            sources: What the message tells of, e.g. a topic, or the joints that it names.
            stamp: Its stamp, s; 0 if it has none.
        """
        told = list(sources)
        later = [source for source in told if not 0.0 < stamp <= self._last.get(source, 0.0)]
        self._last |= dict.fromkeys(told, stamp)
        return later
