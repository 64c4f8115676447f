"""The limits of an arm's joints, as the robot's configuration states them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlt_policy.kinematics.urdf import Joint

ROUNDING = 1e-3
"""Limits that exceed the URDF's by less are those of the URDF, written with fewer digits."""


@dataclass(frozen=True)
class JointLimits:
    """Limits of the driven joints; none is guessed.

    Attributes:
        low: Lowest position per joint, rad or m.
        high: Highest position per joint, rad or m.
        velocity: Highest speed per joint, rad/s or m/s.
    """

    low: Sequence[float]
    high: Sequence[float]
    velocity: Sequence[float]


def require_limits(joints: Sequence[Joint], limits: JointLimits) -> None:
    """Reject limits that are missing, contradict themselves, or are wider than the URDF's.

    Raises:
        ValueError: If they do; names the joint.
    """
    counts = [len(values) for values in (limits.low, limits.high, limits.velocity)]
    if set(counts) != {len(joints)}:
        raise ValueError(
            f"low, high and velocity have {counts[0]}, {counts[1]} and {counts[2]} values for the "
            f"joints {', '.join(joint.name for joint in joints)}: state one limit per joint"
        )
    for joint, low, high, speed in zip(
        joints, limits.low, limits.high, limits.velocity, strict=True
    ):
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                f"joint {joint.name} has the limits {low:g} and {high:g}: expected two finite "
                "numbers, the lower one first"
            )
        if not 0.0 < speed < math.inf:
            raise ValueError(
                f"joint {joint.name} has the velocity limit {speed:g}: expected a finite one above "
                "0"
            )
        if low < joint.low - ROUNDING or high > joint.high + ROUNDING:
            raise ValueError(
                f"joint {joint.name} has the limits {low:g} and {high:g}, the URDF allows "
                f"{joint.low:g} to {joint.high:g}: state limits within these, or correct the URDF"
            )
        if speed > joint.velocity + ROUNDING:
            raise ValueError(
                f"joint {joint.name} has the velocity limit {speed:g}, the URDF allows "
                f"{joint.velocity:g}: state one that is not higher, or correct the URDF"
            )
