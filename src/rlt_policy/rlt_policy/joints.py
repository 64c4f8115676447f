"""Measured joints of a robot that is driven by tool poses: near a limit nothing moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlt_core.settings import setting


@dataclass(frozen=True)
class JointSettings:
    """Limits of the measured joints; there are no defaults, since no limit is ever guessed.

    Lists hold one value per name.
    """

    joint_names: list[str] = setting([], "names in joint_states of the joints that are watched")
    joint_min: list[float] = setting([], "lowest position per joint, rad")
    joint_max: list[float] = setting([], "highest position per joint, rad")
    joint_margin: float = setting(
        0.1, "distance from a joint's limit at which the controller holds, rad", low=0.0
    )


class JointWatch:
    """Tells whether measured joints keep off their limits, which a Cartesian guard cannot see."""

    def __init__(self, settings: JointSettings) -> None:
        """Check the limits.

        Raises:
            ValueError: If there are none or they do not fit together; names the parameter.
        """
        names, margin = settings.joint_names, settings.joint_margin
        counts = {len(names), len(settings.joint_min), len(settings.joint_max)}
        if not names or len(counts) != 1:
            raise ValueError(
                f"joint_names, joint_min and joint_max have {len(names)}, "
                f"{len(settings.joint_min)} and {len(settings.joint_max)} values: give the robot's "
                "config one limit per joint"
            )
        self._limits = dict(
            zip(names, zip(settings.joint_min, settings.joint_max, strict=True), strict=True)
        )
        for name, (low, high) in self._limits.items():
            if not low + margin < high - margin:
                raise ValueError(
                    f"joint {name} has joint_min {low:g} and joint_max {high:g}: leave room "
                    f"between them for twice the joint_margin {margin:g}"
                )
        self._margin = margin

    def check(self, names: Sequence[str], positions: Sequence[float]) -> str:
        """Return why the robot must not move, empty if it may.

        Args:
            names: Names of the measured joints, in any order; others than the watched are ignored.
            positions: Their positions, rad.
        """
        measured = dict(zip(names, positions, strict=False))
        for name, (low, high) in self._limits.items():
            value = measured.get(name, math.nan)
            if not math.isfinite(value):
                return f"joint {name} in joint_states is {value}: check the robot driver"
            limit = low if value < low + self._margin else high
            if value < low + self._margin or value > high - self._margin:
                return (
                    f"joint {name} is at {value:.3f} rad, within {self._margin:g} rad of its limit "
                    f"{limit:g}: move it away by the robot's own means or reset"
                )
        return ""
