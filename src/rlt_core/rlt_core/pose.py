"""Action axes x, y, z, yaw and the tool pose that a Cartesian robot driver understands.

The tool points down; yaw turns it about the vertical. A yaw that travels as a quaternion comes
back with another last bit, so whoever compares the graph with the runner sends both through here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AXES = ("x", "y", "z", "yaw")


def tool_quaternion(yaw: float) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w) of a tool that points down, turned by `yaw` in radians."""
    return (math.cos(0.5 * yaw), math.sin(0.5 * yaw), 0.0, 0.0)


def tool_yaw(x: float, y: float, z: float, w: float) -> float:
    """Yaw in radians, -pi to pi, of a tool with this orientation: where its x axis points."""
    return math.atan2(2.0 * (x * y + z * w), 1.0 - 2.0 * (y * y + z * z))


def as_sent(axes: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Axes (x, y, z, yaw) as they come out of a pose message: float64 (4,), m and rad."""
    x, y, z, yaw = (float(value) for value in axes)
    return np.array([x, y, z, tool_yaw(*tool_quaternion(yaw))])
