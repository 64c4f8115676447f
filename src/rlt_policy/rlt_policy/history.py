"""The last moments of one source: what it sent, when that was measured, and when it came."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlt_core.rates import Spread

PACE = 50  # newest intervals and latencies by which a source is known
MEASURED = 5  # intervals after which it is


@dataclass(frozen=True)
class Sample:
    """What a source sent once.

    Attributes:
        message: The message, or the part of it that is this source's.
        stamp: When its driver says that it was measured, s on the driver's clock; 0: it does not.
        received: When it came, monotonic s.
    """

    message: Any
    stamp: float
    received: float


class History:
    """The samples of one source, as far back as an observation may look.

    Args:
        seconds: How far that is, by receipt, s.
        most: Samples kept at most, whatever the source's rate.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self.intervals = Spread(PACE)
        self.latencies = Spread(PACE)
        self.count = 0
        self._began = math.nan
        self._seconds = seconds
        self._samples: deque[Sample] = deque(maxlen=most)

    def add(self, sample: Sample) -> None:
        """Keep a sample, the newest now, and forget what is too old."""
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
        """The sample that came last."""
        return self._samples[-1]

    @property
    def known_s(self) -> float:
        """For how long the source has been heard, s; 0 while that was hardly ever."""
        return self.newest.received - self._began if self.count > MEASURED else 0.0

    @property
    def stands(self) -> bool:
        """Whether all that is kept carries one stamp, though it came one after the other."""
        return len(self._samples) > 1 and len({sample.stamp for sample in self._samples}) == 1

    def nearest(self, moment: float, measured: Callable[[Sample], float]) -> Sample:
        """The sample that was measured nearest to a moment, of two the one that came later."""
        return min(reversed(self._samples), key=lambda sample: abs(measured(sample) - moment))
