"""Measured rates and durations.

Neither class reads a clock or is bound to a thread: the caller passes the time, in seconds on any
monotonic clock, and holds a lock if several threads use an object.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

RATE_SECONDS = 10
SPREAD_VALUES = 500


class Rate:
    """The rate of an event: on average, and in the worst second of the last ten.

    Seconds are counted from the first event on and are included when they are over, so that a
    second without an event counts as zero. A count per second is exact to one event.
    """

    def __init__(self, seconds: int = RATE_SECONDS) -> None:
        """Set up.

        Args:
            seconds: Length of the window, s.
        """
        self.total = 0
        self._began = math.nan
        self._second = 0
        self._count = 0
        self._past: deque[int] = deque(maxlen=seconds)

    def count(self, now: float) -> None:
        """Note one event at this time, s."""
        if not self.total:
            self._began = now
        self._advance(now)
        self.total += 1
        self._count += 1

    def mean(self, now: float) -> float:
        """Events per second over the window, Hz; nan until one second is over."""
        self._advance(now)
        return sum(self._past) / len(self._past) if self._past else math.nan

    def worst(self, now: float) -> float:
        """Events in the second of the window that had the fewest, Hz; nan until one is over."""
        self._advance(now)
        return float(min(self._past)) if self._past else math.nan

    def summary(self, name: str, now: float) -> dict[str, float]:
        """Mean and worst second, under the keys `<name>_hz` and `<name>_hz_worst_second`."""
        return {f"{name}_hz": self.mean(now), f"{name}_hz_worst_second": self.worst(now)}

    def _advance(self, now: float) -> None:
        """Close the seconds that are over; those beyond the window are skipped."""
        if not self.total:
            return
        second = int(now - self._began)
        for _ in range(min(second - self._second, (self._past.maxlen or 0) + 1)):
            self._past.append(self._count)
            self._count = 0
        self._second = max(second, self._second)


class Spread:
    """The distribution of the newest durations, or other quantities."""

    def __init__(self, values: int = SPREAD_VALUES) -> None:
        """Set up.

        Args:
            values: How many of the newest values are kept.
        """
        self._values: deque[float] = deque(maxlen=values)

    def add(self, value: float) -> None:
        """Note one value."""
        self._values.append(value)

    def quantile(self, share: float) -> float:
        """The quantile at `share` (0 to 1) of the kept values; nan without any."""
        return float(np.quantile(list(self._values), share)) if self._values else math.nan

    @property
    def p50(self) -> float:
        """The median."""
        return self.quantile(0.5)

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return self.quantile(0.95)

    @property
    def max(self) -> float:
        """The largest of the kept values."""
        return self.quantile(1.0)

    def summary(self, name: str, scale: float = 1.0) -> dict[str, float]:
        """p50, p95 and max times `scale`, under the keys `<name>_p50`, `…_p95` and `…_max`."""
        return {
            f"{name}_p50": scale * self.p50,
            f"{name}_p95": scale * self.p95,
            f"{name}_max": scale * self.max,
        }
