"""Logs faults: one line each, however often they are reported."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any

QUIET_SECONDS = 0.5
"""Longer than the time between two reports of one fault, e.g. two rejected chunks."""


class Severity(Enum):
    """Level at which to log a fault."""

    ERROR = "error"
    WARNING = "warning"
    NOTHING = "nothing"


class FaultLog:
    """Logs new faults.

    A fault that lasts is logged once. It is new again after it has been absent for a while. While
    one fault of a source lasts, others of that source are most likely its consequences: they are
    warnings until the first is over. Any thread may report.
    """

    def __init__(self, logger: Any, quiet: float = QUIET_SECONDS) -> None:
        """Set up.

        Args:
            logger: The node's logger.
            quiet: Seconds without a report after which a fault is over.
        """
        self._logger = logger
        self._quiet = quiet
        self._first: dict[str, tuple[str, float]] = {}  # source -> its fault, last reported
        self._others: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def report(
        self, source: str, code: str, sentence: str, now: float, *, consequence: bool = False
    ) -> None:
        """Log a fault if it is new; arguments as for `note`."""
        match self.note(source, code, now, consequence=consequence):
            case Severity.ERROR:
                self._logger.error(sentence)
            case Severity.WARNING:
                self._logger.warning(sentence)

    def note(self, source: str, code: str, now: float, *, consequence: bool = False) -> Severity:
        """Note a fault at the time `now` and return the level at which to log it.

        Args:
            source: Source of the fault, e.g. the topic.
            code: Code of the fault within that source.
            now: Monotonic time, s.
            consequence: Whether it only follows from faults that were already logged.
        """
        with self._lock:
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
