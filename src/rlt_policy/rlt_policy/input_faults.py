"""Input faults: every occurrence is counted, each fault is logged once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

QUIET_SECONDS = 1.0


@dataclass(frozen=True)
class Fault:
    """Why an input cannot be used.

    Attributes:
        code: Short name, for the counters.
        source: The topic or node that it comes from.
        message: One sentence: what came, what was expected, what to do.
    """

    code: str
    source: str
    message: str


class Faults:
    """Counts faults, and reports when one begins and when it is over.

    A fault is over once it has not been seen for a second in which work went on, so that an
    intermittent fault is one fault. The caller passes the time, in monotonic seconds.
    """

    def __init__(self, since: float = 0.0) -> None:
        """Set up.

        Args:
            since: Before this time faults are counted but not logged: other nodes are still
                starting.
        """
        self.counts: Counter[str] = Counter()
        self._since = since
        self._seen: dict[tuple[str, str], float] = {}

    def note(self, fault: Fault, now: float) -> bool:
        """Count a fault; return whether to log it now."""
        self.counts[fault.code] += 1
        if now < self._since:
            return False
        key = (fault.code, fault.source)
        began = key not in self._seen
        self._seen[key] = now
        return began

    def work(self, now: float) -> list[str]:
        """Note that work went on; return the sources whose fault is over."""
        over = [key for key, seen in self._seen.items() if now - seen > QUIET_SECONDS]
        for key in over:
            del self._seen[key]
        return [source for _, source in over]
