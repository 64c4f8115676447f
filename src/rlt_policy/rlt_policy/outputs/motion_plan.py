"""The motion that a driver executes, extended by every set-point and always ending at rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rlt_core.robot.limits import AxisLimits, column
from rlt_policy.outputs.braking import RESOLUTION_S, Braking, Point, between

Vector = NDArray[np.float64]

REST_SECONDS = 0.1
LEAD_S = 0.006
"""How long before its motion begins a set-point is sent: covers delivery and a late tick."""
PAST_S = 0.03
"""How much of the past a plan contains: a clock that is ahead of the driver's by less does no
harm."""
MAX_DRIFT = 0.002
"""By this fraction at most the motion runs faster or slower to follow the driver's clock."""
RECOVERY = 0.1
"""After lost ticks the motion is ahead of the set-points, by the way to rest; every tick it loses
this share of that."""
SAME = 1e-6
"""Set-points that differ by less are equal, SI: increments are float32."""


class MotionPlan:
    """Plans a smooth motion through set-points, on the driver's clock.

    The velocity of a tick is its increment over the period, and changes evenly from one tick to the
    next. The motion therefore passes half-way between two set-points; its acceleration is that of
    the set-points. What was planned up to the beginning of a tick's part is never changed: a driver
    that gets the next plan before that continues smoothly, whenever it gets it.

    After lost ticks the motion goes on from where it has come to by then, within the limits of
    velocity and acceleration, until it meets the set-points again.
    """

    def __init__(self, limits: Mapping[str, AxisLimits], dt: float) -> None:
        """Set up.

        Args:
            limits: Limits of the A axes, in their order.
            dt: Control period in seconds.

        Raises:
            ValueError: If there is no time to brake after one period, or too little to brake an
                axis from its velocity limit within its acceleration limit; names the axis.
        """
        brake = REST_SECONDS - dt - 2.0 * LEAD_S
        if brake < dt:
            raise ValueError(
                f"a control period of {dt:g} s leaves no time to come to rest within "
                f"{REST_SECONDS:g} s: this output needs at least "
                f"{2.0 / (REST_SECONDS - 2.0 * LEAD_S):.3g} Hz"
            )
        self._braking = Braking(limits, dt, brake)
        self._low, self._high = column(limits, "min"), column(limits, "max")
        self._velocity = column(limits, "velocity")
        self._acceleration = column(limits, "acceleration")
        self._dt = dt
        self._points: list[Point] = []
        self._setpoint: Vector | None = None
        self._joint = -np.inf  # when the next tick's part begins, s

    def extend(self, setpoint: Vector, increment: NDArray[np.floating], now: float) -> list[Point]:
        """Plan the motion up to a new set-point and from there to rest.

        Args:
            setpoint: (A,), SI.
            increment: (A,), SI: the set-point minus the previous one.
            now: Time on the driver's clock, s.

        Returns:
            Points in increasing time, from `PAST_S` ago to `REST_SECONDS` from now, when all axes
            rest.
        """
        previous = self._previous(setpoint - increment, now)
        begin = self._begin(now)
        through = self._through(begin, previous, setpoint, now)
        past = between(self._points, now - PAST_S)
        kept = [
            point for point in self._points
            if past.seconds + RESOLUTION_S < point.seconds < begin.seconds - RESOLUTION_S
        ]
        rest = self._braking.stop(through, now + REST_SECONDS)
        self._points = [past, *kept, begin, through, *rest]
        self._setpoint, self._joint = setpoint, through.seconds
        return self._points

    def _previous(self, place: Vector, now: float) -> Vector:
        """The previous set-point; if it is not ours, somebody moved the robot: begin there."""
        if self._setpoint is not None and (np.abs(place - self._setpoint) < SAME).all():
            return self._setpoint
        self._points = [Point(place, np.zeros_like(place), now)]
        self._joint = -np.inf
        return place

    def _begin(self, now: float) -> Point:
        """Where the motion may be changed: at the end of the last tick's part, if that is near."""
        near = now <= self._joint <= now + 2.0 * LEAD_S
        return between(self._points, self._joint if near else now + LEAD_S)

    def _through(self, begin: Point, previous: Vector, setpoint: Vector, now: float) -> Point:
        """The end of this tick's part."""
        dt, velocity = self._dt, (setpoint - previous) / self._dt
        natural = begin.position + 0.5 * (begin.velocity + velocity) * dt
        velocity = velocity - RECOVERY * (natural - 0.5 * (previous + setpoint)) / dt
        down = self._brakeable(begin.position - self._low, -begin.velocity)
        up = self._brakeable(self._high - begin.position, begin.velocity)
        velocity = np.clip(
            velocity, -np.minimum(down, self._velocity), np.minimum(up, self._velocity)
        )
        change = self._acceleration * dt
        velocity = np.clip(velocity, begin.velocity - change, begin.velocity + change)
        drift = np.clip(now + LEAD_S - begin.seconds, -MAX_DRIFT * dt, MAX_DRIFT * dt)
        return Point(
            begin.position + 0.5 * (begin.velocity + velocity) * dt,
            velocity,
            begin.seconds + dt + float(drift),
        )

    def _brakeable(self, room: Vector, velocity: Vector) -> Vector:
        """Highest velocity, (A,), at the end of a tick's part from which an axis can brake in time.

        Args:
            room: (A,), SI: distance to the position limit where the part begins.
            velocity: (A,), SI per second: towards that limit, where the part begins.
        """
        half = 0.5 * self._dt
        left = np.maximum(room, 0.0) - velocity * half
        root = np.sqrt(np.maximum(half * half + 2.0 * left / self._acceleration, 0.0))
        highest: Vector = self._acceleration * (root - half)
        return highest
