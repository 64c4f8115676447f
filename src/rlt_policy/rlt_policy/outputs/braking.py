"""How a moving robot comes to rest by itself, within its limits."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rlt_core.robot.limits import AxisLimits, column

Vector = NDArray[np.float64]

COAST_S = 0.015
"""A moving axis keeps its velocity for this time before it brakes, if time and room permit: the
next message, which is a little late, then finds it where it expects it."""
RESOLUTION_S = 1e-6
"""Points that are closer in time than this are one."""
STILL = 1e-9
"""An axis that moves at no more than this, SI per second, is at rest."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Point:
    """Position and velocity that the robot must have at some time.

    Attributes:
        position: float64 (A,), SI.
        velocity: float64 (A,), SI per second.
        seconds: When.
    """

    position: Vector
    velocity: Vector
    seconds: float


class Braking:
    """Computes the motion from any point to rest."""

    def __init__(
        self, limits: Mapping[str, AxisLimits], shortest: float, longest: float
    ) -> None:
        """Set up.

        Args:
            limits: Limits of the A axes, in their order.
            shortest: A slow axis takes this long to brake, s.
            longest: Every axis has at least this long to brake, s.

        Raises:
            ValueError: If that is too short to brake an axis from its velocity limit within its
                acceleration limit; names the axis.
        """
        for name, axis in limits.items():
            speed, brake = axis.velocity, axis.acceleration
            stoppable = brake * longest
            if speed > stoppable * (1.0 + ROUNDING):
                raise ValueError(
                    f"axis {name} cannot come to rest within {longest:g} s: its acceleration "
                    f"{brake:g} brakes only from {stoppable:g}, its velocity limit is {speed:g}: "
                    "lower velocity or raise acceleration in the robot's configuration, or choose "
                    "another output"
                )
        self._low, self._high = column(limits, "min"), column(limits, "max")
        self._acceleration = column(limits, "acceleration")
        self._shortest = shortest

    def stop(self, begin: Point, until: float) -> list[Point]:
        """The points that follow a point until all axes rest.

        Each axis keeps its velocity for a while and then decelerates evenly, at most at its
        acceleration limit. It rests within its position limits. Only where the room before a
        position limit is too short for that, it decelerates harder.

        Args:
            begin: Where and how fast the robot is.
            until: Time of the last point: the robot is at rest at that time, or earlier.
        """
        speed, left = np.abs(begin.velocity), until - begin.seconds
        moving = speed > STILL
        pace = np.where(moving, speed, 1.0)
        back, ahead = begin.position - self._low, self._high - begin.position
        room = np.maximum(np.where(begin.velocity < 0.0, back, ahead), 0.0) / pace
        brake = np.maximum(speed / self._acceleration, self._shortest)
        brake = np.minimum.reduce([brake, 2.0 * room, np.full_like(brake, left)]) * moving
        coast = np.clip(np.minimum(left - brake, room - 0.5 * brake), 0.0, COAST_S) * moving
        times = _apart([*coast[moving], *(coast + brake)[moving], left])
        begin = replace(begin, velocity=begin.velocity * moving)
        return [_braked(begin, coast, brake, elapsed) for elapsed in times]


def _apart(times: Sequence[float]) -> list[float]:
    """The times in order, without those that are (almost) 0 or equal to the next."""
    ordered = sorted(times)
    return [
        time for time, later in zip(ordered, [*ordered[1:], np.inf], strict=True)
        if time > RESOLUTION_S and later - time > RESOLUTION_S
    ]


def _braked(begin: Point, coast: Vector, brake: Vector, elapsed: float) -> Point:
    """The state some time after a point if each axis first coasts and then brakes."""
    braking = np.clip(elapsed - coast, 0.0, brake)
    share = np.divide(braking, brake, out=np.zeros_like(brake), where=brake > 0.0)
    way = np.minimum(elapsed, coast) + braking * (1.0 - 0.5 * share)
    return Point(
        begin.position + begin.velocity * way,
        begin.velocity * (1.0 - share),
        begin.seconds + elapsed,
    )


def between(points: Sequence[Point], seconds: float) -> Point:
    """The state at a time on the cubic spline through the points; at rest before and after it."""
    index = bisect.bisect_right([point.seconds for point in points], seconds)
    if index in (0, len(points)):
        place = points[max(index - 1, 0)].position
        return Point(place, np.zeros_like(place), seconds)
    start, end = points[index - 1], points[index]
    length = end.seconds - start.seconds
    s = (seconds - start.seconds) / length
    rise = end.position - start.position
    into, out = start.velocity * length, end.velocity * length
    square, cube = 3.0 * rise - 2.0 * into - out, into + out - 2.0 * rise
    return Point(
        start.position + into * s + square * s**2 + cube * s**3,
        (into + 2.0 * square * s + 3.0 * cube * s**2) / length,
        seconds,
    )
