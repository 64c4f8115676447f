"""Motion limits of a few axes as columns: one list per limit, as tests vary them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlt_core.action_space import ActionSpace
from rlt_core.control.motion_limits import MotionLimits
from rlt_core.robot.limits import AxisLimits


@dataclass(frozen=True)
class AxisColumns:
    """Limits in SI units, one value per axis."""

    position_min: Sequence[float]
    position_max: Sequence[float]
    velocity: Sequence[float]
    acceleration: Sequence[float]
    max_tracking_error: Sequence[float]

    @classmethod
    def of(cls, limits: MotionLimits) -> AxisColumns:
        """The columns of limits by axis."""
        axes = [axis for group in limits.groups.values() for axis in group.values()]
        names = ("min", "max", "velocity", "acceleration", "max_tracking_error")
        return cls(*([getattr(axis, name) for axis in axes] for name in names))

    def by_axis(self, names: Sequence[str]) -> dict[str, AxisLimits]:
        """The limits of each axis."""
        return {
            name: AxisLimits(
                min=self.position_min[i], max=self.position_max[i], velocity=self.velocity[i],
                acceleration=self.acceleration[i], max_tracking_error=self.max_tracking_error[i],
            )
            for i, name in enumerate(names)
        }

    def limits(self, space: ActionSpace, max_age_ticks: int = 5) -> MotionLimits:
        """The limits of a space of one group."""
        (group,) = space.groups
        return MotionLimits({group.name: self.by_axis(group.names)}, max_age_ticks)
