"""Inverse kinematics: the joint positions that bring a tool to its set-point, one tick at a time.

Arms without a Cartesian controller of their own need it. Nothing here uses ROS: the caller fetches
the robot's URDF and reads and sends the joints. MuJoCo is imported when a model is made, so that a
robot whose driver takes poses does without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.rotations import IDENTITY, Quaternion

Vector = NDArray[np.float64]
Triple = tuple[float, float, float]

LEVER_M = 0.3
"""A radian counts as much as this distance, the length of a link, where both are weighed."""


@dataclass(frozen=True)
class Pose:
    """Place and orientation of one frame in another.

    Attributes:
        position: x, y, z, m.
        orientation: Unit quaternion x, y, z, w.
    """

    position: Triple = (0.0, 0.0, 0.0)
    orientation: Quaternion = IDENTITY


@dataclass(frozen=True)
class Solution:
    """Joint positions for one tick, and how near they bring the tool to its set-point.

    Attributes:
        joints: float64 (J,), rad or m: within limits, and within one tick's motion of the last.
        position_error_m: Distance of the tool from its set-point, m.
        orientation_error_rad: Angle of the tool from its set-point, rad.
        limited: Names of the joints that are at a position limit, or beyond it.
        smallest_singular_value: Speed of the tool per speed of the joints, in the direction in
            which it is least; a radian of the tool counts as `LEVER_M`. Near 0 the arm is singular.
    """

    joints: Vector
    position_error_m: float
    orientation_error_rad: float
    limited: tuple[str, ...]
    smallest_singular_value: float


class InverseKinematics(Protocol):
    """Finds joint positions for the set-point of a tool."""

    def solve(self, joints: Vector, position: Vector, orientation: Vector) -> Solution:
        """Move the joints one tick towards a set-point of the tool.

        Args:
            joints: Joint positions that were sent last (J,), rad or m. They may be outside their
                limits: then they may only move back.
            position: x, y, z of the tool in the base link's frame, m.
            orientation: Unit quaternion x, y, z, w of the tool in that frame.

        Raises:
            ValueError: If an argument has another shape, is not finite, or is no unit quaternion.
        """
