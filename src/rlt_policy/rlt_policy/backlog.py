"""Detects messages that queued up while a process was stalled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

PACED = 5  # messages over which the rate is measured: one delayed message does not look live


class Backlog:
    """Distinguishes messages that arrive as they are sent from those that had queued up.

    After a silence, and at the start, messages count as queued up until five of them have arrived
    no faster than at twice their rate. The caller passes the time, in monotonic seconds.
    """

    def __init__(self, period: float, silence: float) -> None:
        """Set up.

        Args:
            period: Seconds between two messages.
            silence: Seconds without a message after which the next ones may have queued up.
        """
        self._shortest = 0.5 * period * PACED
        self._silence = silence
        self._times: deque[float] = deque(maxlen=PACED)
        self._draining = True

    def is_live(self, now: float) -> bool:
        """Count a message; return whether it arrived as it was sent."""
        if self._times and now - self._times[-1] > self._silence:
            self._draining = True
            self._times.clear()
        if len(self._times) == PACED and now - self._times[0] >= self._shortest:
            self._draining = False
        self._times.append(now)
        return not self._draining


def outdated(ticks: Sequence[int], chunk: int, delay: int) -> int:
    """Number of waiting observations that are too old to be answered, counted from the oldest.

    A newer chunk boundary makes everything before it obsolete: its chunk replaces the older one,
    and an answer to an older observation would only delay it. A boundary whose chunk would be over
    by the newest tick is outdated itself.

    Args:
        ticks: Their ticks, ascending.
        chunk: Ticks of an executed chunk.
        delay: Ticks from an observation to its chunk's first tick.
    """
    boundaries = [index for index, tick in enumerate(ticks) if tick % chunk == 0]
    if not boundaries:
        return 0
    newest = boundaries[-1]
    over = ticks[newest] + delay + chunk <= ticks[-1]
    return newest + over
