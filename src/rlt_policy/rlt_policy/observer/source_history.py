"""The recent samples of one source: content, measurement time and receipt time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlt_node.rates import Spread

PACE = 50  # newest intervals and latencies kept for a source's statistics
MEASURED = 5  # intervals after which these are used


@dataclass(frozen=True)
class Sample:
    """One sample of a source.

    Attributes:
        message: The message, or the part of it that belongs to this source.
        stamp: Its driver's measurement time, s on the driver's clock; 0: not stamped.
        received: When it arrived, monotonic s.
    """

    message: Any
    stamp: float
    received: float


class History:
    """The samples of one source, as far back as an observation may look."""

    def __init__(self, seconds: float, most: int) -> None:
        """Set up.

        Args:
            seconds: How far back that is, by receipt time, s.
            most: Largest number of samples kept, whatever the source's rate.
        """
        self.intervals = Spread(PACE)
        self.latencies = Spread(PACE)
        self.count = 0
        self._began = math.nan
        self._seconds = seconds
        self._samples: deque[Sample] = deque(maxlen=most)

    def add(self, sample: Sample) -> None:
        """Add the newest sample, and drop those that are too old."""
        if self.count:
            self.intervals.add(sample.received - self.newest.received)
        else:
            self._began = sample.received
        self.count += 1
        self._samples.append(sample)
        while sample.received - self._samples[0].received > self._seconds:
            self._samples.popleft()

    @property
    def newest(self) -> Sample:
        """The sample that arrived last."""
        return self._samples[-1]

    @property
    def known_s(self) -> float:
        """For how long the source has been received, s; 0 while it has too few samples."""
        return self.newest.received - self._began if self.count > MEASURED else 0.0

    @property
    def stands(self) -> bool:
        """Whether all kept samples carry one stamp, though they arrived one after the other."""
        return len(self._samples) > 1 and len({sample.stamp for sample in self._samples}) == 1

    def nearest(self, moment: float, measured: Callable[[Sample], float]) -> Sample:
        """The sample measured nearest to a moment; of two equally near, the later arrival."""
        return min(reversed(self._samples), key=lambda sample: abs(measured(sample) - moment))
