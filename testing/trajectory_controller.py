"""A joint trajectory controller with a servo behind it, as calculations without ROS.

It restates what ros2_controllers (branch jazzy) does with messages on its topic, for joints with a
position command interface and `splines`; function names in docstrings are those of
`joint_trajectory_controller/src/joint_trajectory_controller.cpp` and `…/src/trajectory.cpp`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

RATE_HZ = 200.0
NANOSECONDS = 1_000_000_000
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class TrajectoryPoint:
    """A point of a trajectory.

    Attributes:
        seconds: Time from the trajectory's start.
        position: (n,), rad.
        velocity: (n,), rad/s; None if the message has none.
        acceleration: (n,), rad/s^2; None if the message has none.
    """

    seconds: float
    position: Vector
    velocity: Vector | None = None
    acceleration: Vector | None = None


@dataclass(frozen=True)
class Trajectory:
    """A message.

    Attributes:
        stamp: When it starts, controller time, s; 0: when the controller samples it first.
        points: At least one, in increasing time.
    """

    stamp: float
    points: Sequence[TrajectoryPoint]


class TrajectoryController:
    """Follows trajectories at a constant rate, through a servo of first order.

    Attributes:
        command: (n,), rad, what the servo was last told.
        position: (n,), rad, where the joints are.
        rejected: How many messages were rejected.
    """

    def __init__(
        self,
        position: Vector,
        lag: float,
        rate: float = RATE_HZ,
        interpolate_from_desired_state: bool = False,
    ) -> None:
        """Activate: the joints hold where they are.

        Args:
            position: (n,), rad, where the joints are.
            lag: Time constant of the servo, s; 0: the joints are where they are told to be.
            rate: Updates per second.
            interpolate_from_desired_state: The controller's parameter of that name.
        """
        self.command = self.position = position
        self.rejected = 0
        self.period = 1.0 / rate
        self._period = _nanoseconds(self.period)
        self._from_desired = interpolate_from_desired_state
        self._follow = 1.0 - math.exp(-self.period / lag) if lag > 0.0 else 1.0
        self._velocity = np.zeros_like(position)
        self._points: Sequence[TrajectoryPoint] = ()
        self._times: list[int] = []  # of the points, from the start, ns
        self._start = 0  # ns; 0: not sampled yet
        self._new = False
        self._before = (0, TrajectoryPoint(0.0, position))
        self._last = (0, TrajectoryPoint(0.0, position))  # last_commanded_time_, …_state_

    def take(self, message: Trajectory, now: float) -> None:
        """Take a message, unless it is invalid: `validate_trajectory_msg`."""
        times = [_nanoseconds(point.seconds) for point in message.points]
        ending, start = message.points[-1].velocity, _nanoseconds(message.stamp)
        if (
            (ending is not None and (np.abs(ending) > EPSILON).any())
            or (start != 0 and start + times[-1] < _nanoseconds(now))
            or any(later <= earlier for earlier, later in itertools.pairwise(times))
        ):
            self.rejected += 1
            return
        self._points, self._times, self._start, self._new = message.points, times, start, True

    def update(self, now: float) -> None:
        """One cycle: read the joints, choose the command, let the servo follow it: `update`."""
        time = _nanoseconds(now)
        if self._new:
            self._begin(time)
        if self._points:
            desired = self._sample(time + self._period)
            self.command, self._last = desired.position, (time, desired)
        before = self.position
        self.position = before + self._follow * (self.command - before)
        self._velocity = (self.position - before) / self.period

    def _begin(self, now: int) -> None:
        """`set_point_before_trajectory_msg`, and the start of a message without stamp."""
        at, before = now, TrajectoryPoint(0.0, self.position, self._velocity)
        if self._from_desired:
            at, before = self._last[0] or now, self._last[1]
        first, zeros = self._points[0], np.zeros_like(self.position)
        if before.velocity is None and first.velocity is not None:
            before = replace(before, velocity=zeros)
        if before.acceleration is None and first.acceleration is not None:
            before = replace(before, acceleration=zeros)
        self._before, self._new = (at, before), False
        self._start = self._start or now

    def _sample(self, at: int) -> TrajectoryPoint:
        """The desired state at a time: `sample`."""
        elapsed = at - self._start
        if elapsed < self._times[0]:
            time, before = self._before
            length = self._start + self._times[0] - time
            return interpolate(before, self._points[0], at - time, length)
        for index, (begin, end) in enumerate(itertools.pairwise(self._times)):
            if elapsed < end:
                return interpolate(
                    self._points[index], self._points[index + 1], elapsed - begin, end - begin
                )
        last, zeros = self._points[-1], np.zeros_like(self.position)
        return replace(
            last,
            velocity=zeros if last.velocity is None else last.velocity,
            acceleration=zeros if last.acceleration is None else last.acceleration,
        )


def interpolate(
    start: TrajectoryPoint, end: TrajectoryPoint, elapsed: int, length: int
) -> TrajectoryPoint:
    """The state between two points: `interpolate_between_points`.

    The degree is 1 without velocities, 3 with them, 5 with accelerations; outside the segment the
    controller clamps the time and interpolates with degree 1.

    Args:
        start: Where the segment begins.
        end: Where it ends.
        elapsed: Time from its beginning, ns.
        length: Its duration, ns.
    """
    inside = 0 <= elapsed <= length
    t, end_t = min(max(elapsed, 0), length) / NANOSECONDS, length / NANOSECONDS
    rise = end.position - start.position
    v0, v1 = start.velocity, end.velocity
    a0, a1 = start.acceleration, end.acceleration
    zeros = np.zeros_like(rise)
    if not inside or v0 is None or v1 is None:
        slope = rise / end_t if end_t else zeros
        return TrajectoryPoint(0.0, start.position + slope * t, slope, zeros)
    if a0 is None or a1 is None:
        c = [start.position, v0, zeros, zeros]
        if end_t:
            c[2] = (3.0 * rise - (2.0 * v0 + v1) * end_t) / end_t**2
            c[3] = (-2.0 * rise + (v0 + v1) * end_t) / end_t**3
    else:
        c = [start.position, v0, 0.5 * a0, zeros, zeros, zeros]
        if end_t:
            c[3] = (
                20.0 * rise - (3.0 * a0 - a1) * end_t**2 - (12.0 * v0 + 8.0 * v1) * end_t
            ) / (2.0 * end_t**3)
            c[4] = (
                -30.0 * rise + (3.0 * a0 - 2.0 * a1) * end_t**2 + (16.0 * v0 + 14.0 * v1) * end_t
            ) / (2.0 * end_t**4)
            c[5] = (12.0 * rise - (a0 - a1) * end_t**2 - 6.0 * (v0 + v1) * end_t) / (
                2.0 * end_t**5
            )
    n = range(len(c))
    return TrajectoryPoint(
        0.0,
        sum((c[i] * t**i for i in n), zeros),
        sum((i * c[i] * t ** (i - 1) for i in n[1:]), zeros),
        sum((i * (i - 1) * c[i] * t ** (i - 2) for i in n[2:]), zeros),
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
