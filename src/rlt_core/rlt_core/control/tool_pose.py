"""Action axes x, y, z, yaw and the tool pose of a Cartesian robot driver.

The tool points down; yaw turns it about the vertical. Conversion to a quaternion and back changes
the last bit of the yaw: to compare the ROS graph with the runner, convert both with this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.rotations import Quaternion, is_unit


def tool_quaternion(yaw: float) -> Quaternion:
    """Quaternion (x, y, z, w) of a tool that points down, turned by `yaw` in radians."""
    return (math.cos(0.5 * yaw), math.sin(0.5 * yaw), 0.0, 0.0)


def tool_yaw(x: float, y: float, z: float, w: float) -> float:
    """Yaw in radians, -pi to pi, of a tool with this orientation: where its x axis points."""
    return math.atan2(2.0 * (x * y + z * w), 1.0 - 2.0 * (y * y + z * z))


def tool_tilt(x: float, y: float, z: float, w: float) -> float:
    """Angle in radians, 0 to pi, between straight down and a tool with this orientation."""
    return 2.0 * math.atan2(math.hypot(z, w), math.hypot(x, y))


def frame_fault(topic: str, found: str, expected: str) -> str:
    """Report that a message is not in the expected frame; empty if it is.

    The values of a message without a frame are ambiguous, so it is rejected, too.
    """
    if found == expected:
        return ""
    frame = f"is in the frame {found!r}" if found else "names no frame"
    return (
        f"{topic} {frame}, the contract is in {expected!r}: configure the driver to publish it in "
        "that frame, or transform it"
    )


def orientation_fault(topic: str, orientation: Quaternion) -> str:
    """Report that a message's orientation is not a unit quaternion; empty if it is.

    One that holds a NaN passes: what is computed from it is rejected as not finite.
    """
    length = math.hypot(*orientation)
    if math.isnan(length) or is_unit(orientation):
        return ""
    return (
        f"the orientation in {topic}, x y z w = {list(orientation)}, has length {length:.4g}: "
        "expected a unit quaternion, check the robot driver"
    )


def as_sent(axes: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Axes (x, y, z, yaw) as read from a pose message: float64 (4,), m and rad."""
    x, y, z, yaw = (float(value) for value in axes)
    return np.array([x, y, z, tool_yaw(*tool_quaternion(yaw))])
