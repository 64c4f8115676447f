"""Motion limits of axes that are numbers of their own: joints, grippers, a tool's x y z and yaw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import ActionGroup
from rlt_core.control.angles import TURN, near
from rlt_core.robot.limits import AxisLimits

Vector = NDArray[np.float64]

NOTICEABLE = 1e-6
"""Smaller changes, as fractions of the velocity limit, are float32 rounding and not reported."""
FULL_TURN = TURN * (1.0 + 1e-9)
"""Limits a full turn apart, such as some angle and that plus and minus pi, may be further by a
rounding error."""


class AxesLimiter:
    """Keeps the set-point of each axis inside its limits.

    For an angle on a circle the nearest turn is used: at the start nearest to the middle of its
    limits, later to the set-point. Set-points thus continue through half a turn where limits allow.

    Attributes:
        max_increment: float64 (n,), SI: the velocity limits as increments per tick.
        max_step: float64 (n,), the same: each axis is measured by itself.
        max_tracking_error: float64 (n,), SI.
    """

    def __init__(self, group: ActionGroup, limits: Mapping[str, AxisLimits], dt: float) -> None:
        """Set up.

        Args:
            group: The axes.
            limits: Their limits, by axis.
            dt: Control period in seconds.

        Raises:
            ValueError: If an axis has no limits, limits name another axis, or those of an angle on
                a circle are more than a full turn apart.
        """
        _require_each(group, limits)
        self._axes = [
            _Axis(
                low=limits[name].min,
                high=limits[name].max,
                velocity=limits[name].velocity * dt,
                acceleration=limits[name].acceleration * dt * dt,
                max_tracking_error=limits[name].max_tracking_error,
                circular=circular,
            )
            for name, circular in zip(group.names, group.circular, strict=True)
        ]
        self.max_increment = self.max_step = np.array([axis.velocity for axis in self._axes])
        self.max_tracking_error = np.array([axis.max_tracking_error for axis in self._axes])
        self._setpoint = self._increment = [0.0] * len(self._axes)

    def start(self, position: Sequence[float]) -> list[float]:
        """Take the measured position as the set-point sent last, at rest, and return it."""
        self._setpoint = [
            axis.near(value, 0.5 * (axis.low + axis.high))
            for axis, value in zip(self._axes, position, strict=True)
        ]
        self._increment = [0.0] * len(self._axes)
        return self._setpoint

    def limit(
        self, wish: Sequence[float], measured: Sequence[float], limited: dict[str, None]
    ) -> tuple[list[float], list[float]]:
        """The next set-point and its increment; adds limits that act to `limited`.

        Args:
            wish: Requested increments, SI.
            measured: Measured positions, SI.
            limited: Names of the limits that changed a request.
        """
        setpoint = [
            axis.next_setpoint(step, last, increment, axis.near(position, last), limited)
            for axis, step, last, increment, position in zip(
                self._axes, wish, self._setpoint, self._increment, measured, strict=True
            )
        ]
        self._increment = [new - old for new, old in zip(setpoint, self._setpoint, strict=True)]
        self._setpoint = setpoint
        return setpoint, self._increment


@dataclass(frozen=True)
class _Axis:
    """Limits of one axis, SI; velocity per tick, acceleration per tick squared.

    Plain floats: for the few axes of a robot they are several times faster than arrays.
    """

    low: float
    high: float
    velocity: float
    acceleration: float
    max_tracking_error: float
    circular: bool

    def near(self, value: float, reference: float) -> float:
        """A measured value, moved to the turn nearest to a reference."""
        return near(value, reference) if self.circular else value

    def next_setpoint(
        self,
        step: float,
        last: float,
        increment: float,
        measured: float,
        limited: dict[str, None],
    ) -> float:
        """The set-point after `last` for a requested `step`; adds limits that act to `limited`."""
        high, low = max(self.high, last), min(self.low, last)
        limits = (
            ("velocity", -self.velocity, self.velocity),
            (
                "tracking_error",
                -self._stoppable(last - measured + self.max_tracking_error),
                self._stoppable(measured + self.max_tracking_error - last),
            ),
            ("workspace", -self._stoppable(last - low), self._stoppable(high - last)),
            (
                "acceleration",
                max(-self.velocity, increment - self.acceleration),
                min(self.velocity, increment + self.acceleration),
            ),
        )
        # The last limit has the highest priority; workspace and dynamics always share a step.
        for name, lowest, highest in limits:
            allowed = min(max(step, lowest), highest)
            if abs(allowed - step) > NOTICEABLE * self.velocity:
                limited[name] = None
            step = allowed
        # The sum may round beyond the edge. Last check: never send a value that is not finite.
        setpoint = min(max(last + step, low), high)
        if math.isfinite(setpoint):
            return setpoint
        limited["finite"] = None
        return last

    def _stoppable(self, room: float) -> float:
        return longest_step(room, self.velocity, self.acceleration)


def longest_step(room: float, velocity: float, acceleration: float) -> float:
    """Longest step after which a set-point can still brake within `room`.

    A step u and the braking steps u - a, u - 2a, ... after it cover n u - a n (n - 1) / 2.
    Negative room is a distance to go back; it is returned unchanged.

    Args:
        room: Distance to the limit.
        velocity: Largest step per tick.
        acceleration: Largest change a of the step per tick.
    """
    # Braking from full speed takes the most steps; more room has no effect.
    fastest = math.ceil(velocity / acceleration)
    if room <= 0.0 or room > fastest * (velocity + acceleration):
        return room
    steps = math.ceil((math.sqrt(1.0 + 8.0 * room / acceleration) - 1.0) / 2.0)
    steps = max(steps, 1)
    return room / steps + acceleration * (steps - 1) / 2.0


def _require_each(group: ActionGroup, limits: Mapping[str, AxisLimits]) -> None:
    if set(limits) != set(group.names):
        raise ValueError(
            f"limits of group {group.name} name the axes ({', '.join(limits)}), its axes are "
            f"({', '.join(group.names)}): state every limit in the robot's file"
        )
    for name, circular in zip(group.names, group.circular, strict=True):
        if circular and limits[name].max - limits[name].min > FULL_TURN:
            raise ValueError(
                f"min and max of {name} are more than a full turn apart: choose the part of the "
                "circle in which the tool may point"
            )
