"""How a moving set-point comes to rest by itself, within the limits and within 100 ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.settings import MotionLimits

Vector = NDArray[np.float64]

REST_SECONDS = 0.1
ROUNDING = 1e-9


@dataclass(frozen=True)
class Point:
    """Position and velocity that the robot must reach after some time.

    Attributes:
        position: float64 (A,), SI.
        velocity: float64 (A,), SI per second.
        seconds: Time from now.
    """

    position: Vector
    velocity: Vector
    seconds: float


class Braking:
    """Extends every set-point with the motion that brings it to rest."""

    def __init__(self, axis_names: Sequence[str], limits: MotionLimits, dt: float) -> None:
        """Set up.

        Args:
            axis_names: Names of the A axes.
            limits: Position, velocity and acceleration limits of the axes.
            dt: Control period in seconds.

        Raises:
            ValueError: If there is no time to brake after one period, or too little to brake an
                axis from its velocity limit within its acceleration limit; names the axis.
        """
        if 2.0 * dt > REST_SECONDS:
            raise ValueError(
                f"a control period of {dt:g} s leaves no time to come to rest within "
                f"{REST_SECONDS:g} s: this output needs at least {2.0 / REST_SECONDS:g} Hz"
            )
        for name, speed, brake in zip(
            axis_names, limits.velocity, limits.acceleration, strict=True
        ):
            stoppable = brake * (REST_SECONDS - dt)
            if speed > stoppable * (1.0 + ROUNDING):
                raise ValueError(
                    f"axis {name} cannot come to rest within {REST_SECONDS:g} s: its acceleration "
                    f"{brake:g} brakes only from {stoppable:g}, its velocity limit is {speed:g}: "
                    "lower velocity or raise acceleration in the robot's configuration, or choose "
                    "another output"
                )
        self._low, self._high = np.array(limits.position_min), np.array(limits.position_max)
        self._acceleration = np.array(limits.acceleration)
        self._dt = dt

    def points(self, setpoint: Vector, increment: NDArray[np.floating]) -> list[Point]:
        """The set-point one period from now and, if it moves, the point of rest after it.

        Each axis decelerates evenly. It neither rests beyond a position limit nor passes one: a
        cubic through both points does not if it begins with at most three times the mean speed.

        Args:
            setpoint: (A,), SI.
            increment: (A,), SI: the set-point minus the previous one.
        """
        velocity = np.asarray(increment, np.float64) / self._dt
        needed = float((np.abs(velocity) / self._acceleration).max())
        if needed == 0.0:
            return [Point(setpoint, velocity, self._dt)]
        brake = min(max(needed, self._dt), REST_SECONDS - self._dt)
        low, high = np.minimum(self._low, setpoint), np.maximum(self._high, setpoint)
        rest = np.clip(setpoint + 0.5 * velocity * brake, low, high)
        bound = 3.0 * np.abs(rest - setpoint) / brake
        passing = np.clip(velocity, -bound, bound)
        return [
            Point(setpoint, passing, self._dt),
            Point(rest, np.zeros_like(rest), self._dt + brake),
        ]
