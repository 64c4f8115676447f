"""The motion limits: the last step between the chosen command and the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract, VectorSpec
from rlt_core.control.angles import TURN, near
from rlt_core.records import FloatArray
from rlt_core.settings import MotionLimits, validate

Vector = NDArray[np.float64]

LONGEST_STOP_S = 1.0
"""A hold must stop the robot: limits with which braking takes longer are rejected."""
NOTICEABLE = 1e-6
"""Smaller changes, as fractions of the velocity limit, are float32 rounding and not reported."""
FULL_TURN = TURN * (1.0 + 1e-9)
"""Limits a full turn apart, such as some angle and that plus and minus pi, may be further by a
rounding error."""


@dataclass(frozen=True)
class Command:
    """What is sent at one tick.

    Attributes:
        setpoint: float64 (A,), SI.
        increment: float64 (A,), SI: `setpoint` minus the set-point sent before.
        limited: Names of the limits that changed the request: "finite", "velocity",
            "tracking_error", "workspace", "acceleration".
    """

    setpoint: Vector
    increment: Vector
    limited: tuple[str, ...]


class MotionLimiter:
    """Keeps every set-point finite and inside the robot's limits, whatever is requested.

    All limits act per axis, relative to the previous set-point. Towards a position limit the speed
    never exceeds what the acceleration limit can still brake, so that workspace, velocity and
    acceleration limits are always met together. The tracking error is limited in the same way; if
    the measured position itself moves away, the set-point follows it as fast as those three limits
    allow. A robot that starts outside the workspace may only move back towards it.

    For an angle on a circle the nearest turn is used: at the start nearest to the middle of its
    limits, later to the set-point. Set-points thus continue through half a turn where limits allow.
    """

    def __init__(self, axes: VectorSpec, dt: float, settings: MotionLimits) -> None:
        """Set up.

        Args:
            axes: The A action axes.
            dt: Control period in seconds.
            settings: The limits.

        Raises:
            ValueError: If a limit is missing, not positive or not finite; names all such limits.
        """
        _require_limits(axes, settings)
        self._axes = [
            _Axis(
                low=float(settings.position_min[i]),
                high=float(settings.position_max[i]),
                velocity=settings.velocity[i] * dt,
                acceleration=settings.acceleration[i] * dt * dt,
                max_tracking_error=float(settings.max_tracking_error[i]),
                circular=axes.circular[i],
            )
            for i in range(axes.size)
        ]
        self._setpoint: list[float] | None = None
        self._increment = [0.0] * len(self._axes)
        self._measured = [0.0] * len(self._axes)

    @property
    def max_increment(self) -> Vector:
        """float64 (A,), SI: the velocity limit as an increment per tick."""
        return np.array([axis.velocity for axis in self._axes])

    @property
    def max_tracking_error(self) -> Vector:
        """float64 (A,), SI: largest distance of set-point and measured position."""
        return np.array([axis.max_tracking_error for axis in self._axes])

    @property
    def increment(self) -> Vector:
        """float64 (A,), SI: the increment sent last."""
        return np.array(self._increment)

    def start(self, position: Vector) -> None:
        """Take the measured `position` (A,) as the set-point sent last, at rest.

        Raises:
            ValueError: If the position is not a finite vector of A elements.
        """
        valid = self._finite(position)
        if valid is None:
            raise ValueError(
                f"the limiter cannot start from position {position}: expected {len(self._axes)} "
                "finite numbers; wait for a valid robot state"
            )
        self._setpoint = self._measured = [
            axis.near(value, 0.5 * (axis.low + axis.high))
            for axis, value in zip(self._axes, valid, strict=True)
        ]
        self._increment = [0.0] * len(self._axes)

    def limit(self, wish: Vector | FloatArray | None, measured: Vector | None) -> Command:
        """Limit a requested increment, and store the result as sent.

        Args:
            wish: Requested SI increment (A,); None, or anything but A finite numbers, means a
                decelerated hold.
            measured: Measured position (A,), SI; None, or anything but A finite numbers, keeps
                the last good one.

        Returns:
            The command, always finite.

        Raises:
            RuntimeError: If `start` was not called.
        """
        if self._setpoint is None:
            raise RuntimeError("the limiter has no set-point yet: call start first")
        limited: dict[str, None] = {}
        steps = self._finite(wish)
        if steps is None:
            steps = [0.0] * len(self._axes)
            if wish is not None:
                limited["finite"] = None
        self._measured = [
            axis.near(value, last)
            for axis, value, last in zip(
                self._axes, self._finite(measured) or self._measured, self._setpoint, strict=True
            )
        ]
        setpoint = [
            axis.next_setpoint(step, last, increment, position, limited)
            for axis, step, last, increment, position in zip(
                self._axes, steps, self._setpoint, self._increment, self._measured, strict=True
            )
        ]
        self._increment = [new - old for new, old in zip(setpoint, self._setpoint, strict=True)]
        self._setpoint = setpoint
        return Command(np.array(setpoint), np.array(self._increment), tuple(limited))

    def _finite(self, values: Vector | FloatArray | None) -> list[float] | None:
        """The A values as plain floats, None if they are not A finite numbers."""
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
            return None
        if values.shape != (len(self._axes),):
            return None
        plain: list[float] = values.astype(np.float64).tolist()
        return plain if all(map(math.isfinite, plain)) else None


def normalised_bound(settings: MotionLimits, contract: Contract) -> FloatArray:
    """Velocity limits as the largest action in network units: float32 (A,).

    Raises:
        ValueError: If a limit is missing or invalid.
    """
    limiter = MotionLimiter(contract.action, contract.dt, settings)
    return contract.normaliser.actions(limiter.max_increment)


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
        """Longest step after which the robot can still brake within `room`.

        A step u and the braking steps u - a, u - 2a, ... after it cover n u - a n (n - 1) / 2.
        Negative room is a distance to go back; it is returned unchanged.
        """
        # Braking from full speed takes the most steps; more room has no effect.
        fastest = math.ceil(self.velocity / self.acceleration)
        if room <= 0.0 or room > fastest * (self.velocity + self.acceleration):
            return room
        steps = math.ceil((math.sqrt(1.0 + 8.0 * room / self.acceleration) - 1.0) / 2.0)
        steps = max(steps, 1)
        return room / steps + self.acceleration * (steps - 1) / 2.0


def _require_limits(axes: VectorSpec, settings: MotionLimits) -> None:
    validate(settings)
    errors = []
    for name in ("position_min", "position_max", "velocity", "acceleration", "max_tracking_error"):
        values = getattr(settings, name)
        if len(values) != axes.size:
            errors.append(f"{name} has {len(values)} values")
        elif not np.isfinite(values).all():
            errors.append(f"{name} = {values} is not finite")
        elif name in ("velocity", "acceleration", "max_tracking_error") and min(values) <= 0.0:
            errors.append(f"{name} = {values} is not positive")
    if not errors and not (np.array(settings.position_min) < settings.position_max).all():
        errors.append("position_min is not below position_max")
    if not errors and np.divide(settings.velocity, settings.acceleration).max() > LONGEST_STOP_S:
        errors.append(f"braking from full speed takes longer than {LONGEST_STOP_S:g} s")
    if not errors:
        spans = np.subtract(settings.position_max, settings.position_min)
        errors += [
            f"position_min and position_max of {name} are more than a full turn apart"
            for name, span, circular in zip(axes.names, spans, axes.circular, strict=True)
            if circular and span > FULL_TURN
        ]
    if errors:
        raise ValueError(
            f"motion limits are needed for the axes ({', '.join(axes.names)}): "
            + "; ".join(errors)
            + ": state every limit in the robot's configuration"
        )
