"""The motion limits: the last step between the chosen command and the robot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import ActionGroup, ActionSpace, ToolGroup
from rlt_core.contract import Contract
from rlt_core.control.axis_limits import AxesLimiter
from rlt_core.control.tool_limits import ToolLimiter
from rlt_core.records import FloatArray
from rlt_core.robot.limits import AxisLimits, ToolLimits

Vector = NDArray[np.float64]
GroupLimits = Mapping[str, AxisLimits] | ToolLimits
"""Limits of a group: by axis, or those of a tool with six degrees of freedom."""


@dataclass(frozen=True)
class MotionLimits:
    """The motion limits of a robot.

    Attributes:
        groups: Limits of each group of the action, by its name.
        max_age_ticks: Oldest robot state or human command that may be used, ticks.
    """

    groups: Mapping[str, GroupLimits]
    max_age_ticks: int


@dataclass(frozen=True)
class Command:
    """What is sent at one tick.

    Attributes:
        setpoint: float64 (A,), SI.
        increment: float64 (A,), SI: what leads from the set-point sent before to this one.
        limited: Names of the limits that changed the request: "finite", "velocity",
            "tracking_error", "workspace", "acceleration".
    """

    setpoint: Vector
    increment: Vector
    limited: tuple[str, ...]


class MotionLimiter:
    """Keeps every set-point finite and inside the robot's limits, whatever is requested.

    All limits act per group, relative to the previous set-point. Towards a position limit the speed
    never exceeds what the acceleration limit can still brake, so that workspace, velocity and
    acceleration limits are always met together. The tracking error is limited in the same way; if
    the measured position itself moves away, the set-point follows it as fast as those three limits
    allow. A robot that starts outside the workspace may only move back towards it.

    Attributes:
        max_increment: float64 (A,), SI: the velocity limit as the largest increment per tick.
        max_step: float64 (M,), SI: the velocity limit as a distance per tick, by the space's
            `measures`.
        max_tracking_error: float64 (M,), SI: largest distance of set-point and measured position.
    """

    def __init__(self, space: ActionSpace, dt: float, limits: MotionLimits) -> None:
        """Set up.

        Args:
            space: The action axes.
            dt: Control period in seconds.
            limits: The limits.

        Raises:
            ValueError: If a group or an axis has no limits, or they do not fit it.
        """
        if set(limits.groups) != {group.name for group in space.groups}:
            raise ValueError(
                f"motion limits exist for the groups ({', '.join(limits.groups)}), the action has "
                f"({', '.join(group.name for group in space.groups)}): state every limit in the "
                "robot's file"
            )
        self._limiters = [_limiter(group, limits.groups[group.name], dt) for group in space.groups]
        self._slices = space.slices
        self._size = space.size
        self.max_increment, self.max_step, self.max_tracking_error = (
            np.concatenate([getattr(each, name) for each in self._limiters])
            for name in ("max_increment", "max_step", "max_tracking_error")
        )
        self._measured: list[float] | None = None
        self._increment: Vector = np.zeros(space.size)

    @property
    def increment(self) -> Vector:
        """float64 (A,), SI: the increment sent last."""
        return self._increment

    def start(self, position: Vector) -> None:
        """Take the measured `position` (A,) as the set-point sent last, at rest.

        Raises:
            ValueError: If the position is not a finite vector of A elements.
        """
        valid = self._finite(position)
        if valid is None:
            raise ValueError(
                f"the limiter cannot start from position {position}: expected {self._size} "
                "finite numbers; wait for a valid robot state"
            )
        self._measured = [
            value
            for limiter, part in zip(self._limiters, self._slices, strict=True)
            for value in limiter.start(valid[part])
        ]
        self._increment = np.zeros(self._size)

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
        if self._measured is None:
            raise RuntimeError("the limiter has no set-point yet: call start first")
        limited: dict[str, None] = {}
        steps = self._finite(wish)
        if steps is None:
            steps = [0.0] * self._size
            if wish is not None:
                limited["finite"] = None
        self._measured = self._finite(measured) or self._measured
        setpoint: list[float] = []
        increment: list[float] = []
        for limiter, part in zip(self._limiters, self._slices, strict=True):
            place, step = limiter.limit(steps[part], self._measured[part], limited)
            setpoint += place
            increment += step
        self._increment = np.array(increment)
        return Command(np.array(setpoint), self._increment, tuple(limited))

    def _finite(self, values: Vector | FloatArray | None) -> list[float] | None:
        """The A values as plain floats, None if they are not A finite numbers."""
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
            return None
        if values.shape != (self._size,):
            return None
        plain: list[float] = values.astype(np.float64).tolist()
        return plain if all(map(math.isfinite, plain)) else None


def normalised_bound(limits: MotionLimits, contract: Contract) -> FloatArray:
    """Velocity limits as the largest action in network units: float32 (A,).

    Raises:
        ValueError: If a limit is missing or invalid.
    """
    limiter = MotionLimiter(contract.action, contract.dt, limits)
    return contract.normaliser.actions(limiter.max_increment)


def _limiter(group: ActionGroup, limits: GroupLimits, dt: float) -> AxesLimiter | ToolLimiter:
    if isinstance(group, ToolGroup) and isinstance(limits, ToolLimits):
        return ToolLimiter(group, limits, dt)
    if isinstance(group, ToolGroup) or isinstance(limits, ToolLimits):
        raise ValueError(
            f"limits of group {group.name} are not those of its kind {group.kind}: a tool has "
            "limits of its translation and of its rotation, any other group has them by axis"
        )
    return AxesLimiter(group, limits, dt)
