"""Logs faults: one line each, however often they are reported, and counts them."""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

QUIET_SECONDS = 0.5
"""Longer than the time between two reports of one fault, e.g. two rejected chunks."""
RECOVERED_SECONDS = 1.0
"""Longer than the time between two occurrences of an intermittent fault."""


@dataclass(frozen=True)
class Fault:
    """Why something cannot work now.

    Attributes:
        code: Short name within the source, for the counters.
        source: What it comes from, e.g. a topic.
        message: One sentence: what came, what was expected, what to do.
    """

    code: str
    source: str
    message: str


class Severity(Enum):
    """Level at which to log a fault."""

    ERROR = "error"
    WARNING = "warning"
    NOTHING = "nothing"


class FaultLog:
    """Logs new faults, and counts all reports.

    A fault that lasts is logged once. It is new again after it has been absent for a while. While
    one fault of a source lasts, others of that source are most likely its consequences: they are
    warnings until the first is over. Any thread may report.

    Attributes:
        counts: Number of reports by code.
    """

    def __init__(
        self, logger: Any, quiet: float = QUIET_SECONDS, since: float = -math.inf
    ) -> None:
        """Set up.

        Args:
            logger: The node's logger.
            quiet: Seconds without a report after which a fault is over; infinite: a fault is over
                only once work went on without it, see `recovered`.
            since: Before this monotonic time faults are counted but not logged: other nodes are
                still starting.
        """
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._quiet = quiet
        self._since = since
        self._first: dict[str, tuple[str, float]] = {}  # source -> its fault, last reported
        self._others: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def report(self, fault: Fault, now: float, *, consequence: bool = False) -> None:
        """Log a fault if it is new; arguments as for `note`."""
        match self.note(fault, now, consequence=consequence):
            case Severity.ERROR:
                self._logger.error(fault.message)
            case Severity.WARNING:
                self._logger.warning(fault.message)

    def note(self, fault: Fault, now: float, *, consequence: bool = False) -> Severity:
        """Count a fault at the time `now` and return the level at which to log it.

        Args:
            fault: The fault; its code and source identify it.
            now: Monotonic time, s.
            consequence: Whether it only follows from faults that were already logged.
        """
        source, code = fault.source, fault.code
        with self._lock:
            self.counts[code] += 1
            if now < self._since:
                return Severity.NOTHING
            first = self._first.get(source)
            if first is not None and first[0] == code and now - first[1] <= self._quiet:
                self._first[source] = code, now
                return Severity.NOTHING
            if not consequence and (first is None or now - first[1] > self._quiet):
                self._first[source] = code, now
                return Severity.ERROR
            last = self._others.get((source, code))
            self._others[source, code] = now
        return Severity.WARNING if last is None or now - last > self._quiet else Severity.NOTHING

    def recovered(self, now: float) -> list[str]:
        """Note that work went on at the time `now`; return the sources whose faults are over.

        A fault is over once it was not reported for a second up to a moment at which work went on,
        so that an intermittent fault is one fault.
        """
        since = now - RECOVERED_SECONDS
        with self._lock:
            before = self._sources()
            self._first = {key: last for key, last in self._first.items() if last[1] >= since}
            self._others = {key: last for key, last in self._others.items() if last >= since}
            return [source for source in before if source not in self._sources()]

    def _sources(self) -> dict[str, None]:
        """The sources that have a fault, in order."""
        return dict.fromkeys([*self._first, *(source for source, _ in self._others)])
