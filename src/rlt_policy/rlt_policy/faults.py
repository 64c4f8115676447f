"""Faults of inputs: each is counted every time and said once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

QUIET_SECONDS = 1.0


@dataclass(frozen=True)
class Fault:
    """Why something cannot be used.

    Attributes:
        code: Short name, for the counters.
        source: The topic or node that it comes from.
        message: One sentence: what came, what was expected, what to do.
    """

    code: str
    source: str
    message: str


class Faults:
    """Counts faults, and tells when one begins and when it is over.

    A fault is over once it has not been seen for a second in which its work went on, so that one
    that comes and goes is one fault. The time is the caller's, in seconds, monotonic.

    Args:
        since: Before this time faults are counted and not yet said: others are still starting.
    """

    def __init__(self, since: float = 0.0) -> None:
        self.counts: Counter[str] = Counter()
        self._since = since
        self._seen: dict[tuple[str, str], float] = {}

    def note(self, fault: Fault, now: float) -> bool:
        """Count a fault; return whether it has to be said now."""
        self.counts[fault.code] += 1
        if now < self._since:
            return False
        key = (fault.code, fault.source)
        began = key not in self._seen
        self._seen[key] = now
        return began

    def work(self, now: float) -> list[str]:
        """Note that the work went on; return the sources whose fault is over by that."""
        over = [key for key, seen in self._seen.items() if now - seen > QUIET_SECONDS]
        for key in over:
            del self._seen[key]
        return [source for _, source in over]
