"""What is said about faults: one line each, however often they are noticed."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any

QUIET_SECONDS = 0.5
"""Longer than two notices of one fault are apart, e.g. two refused chunks."""


class Say(Enum):
    """How loud something is to be said."""

    ERROR = "error"
    WARNING = "warning"
    NOTHING = "nothing"


class Notices:
    """Logs faults that are news.

    A fault that goes on is said once. It is news again after it was gone for a while. While one
    fault of a source goes on, others of that source are most likely its consequences: warnings,
    until the first is over. Any thread may tell.

    Args:
        logger: The node's logger.
        quiet: Seconds after which a fault that was not noticed again is over.
    """

    def __init__(self, logger: Any, quiet: float = QUIET_SECONDS) -> None:
        self._logger = logger
        self._quiet = quiet
        self._first: dict[str, tuple[str, float]] = {}  # source -> its fault, noticed last when
        self._others: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def tell(
        self, source: str, code: str, sentence: str, now: float, *, consequence: bool = False
    ) -> None:
        """Log a fault if it is news; arguments as of `hear`."""
        match self.hear(source, code, now, consequence=consequence):
            case Say.ERROR:
                self._logger.error(sentence)
            case Say.WARNING:
                self._logger.warning(sentence)

    def hear(self, source: str, code: str, now: float, *, consequence: bool = False) -> Say:
        """Note a fault at the time `now`, in seconds, and tell how loud to say it.

        Args:
            source: Where it comes from, e.g. the topic.
            code: Which fault of that source.
            now: Monotonic time, s.
            consequence: Whether it only follows from faults that were said already.
        """
        with self._lock:
            first = self._first.get(source)
            if first is not None and first[0] == code and now - first[1] <= self._quiet:
                self._first[source] = code, now
                return Say.NOTHING
            if not consequence and (first is None or now - first[1] > self._quiet):
                self._first[source] = code, now
                return Say.ERROR
            last = self._others.get((source, code))
            self._others[source, code] = now
        return Say.WARNING if last is None or now - last > self._quiet else Say.NOTHING
