"""Checks of numbers that come from outside, before anything is computed from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.rotations import is_unit
from rlt_policy.kinematics import Vector

LARGEST = 1e6
"""No arm is as large, in m or rad; the squares of smaller numbers are exact enough."""


def checked_vector(
    name: str, values: Sequence[float] | NDArray[np.floating], size: int
) -> Vector:
    """Return a vector of finite numbers as a new float64 array.

    Raises:
        ValueError: If it has another size, or holds anything else.
    """
    try:
        vector = np.array(values, np.float64)
    except (TypeError, ValueError):
        vector = np.full(0, math.nan)
    # A comparison with NaN is false.
    if vector.shape != (size,) or not all(-LARGEST < v < LARGEST for v in vector.tolist()):
        raise ValueError(
            f"{name} is {values}: expected {size} finite numbers below {LARGEST:g}; check where "
            "they come from"
        )
    return vector


def checked_orientation(
    name: str, values: Sequence[float] | NDArray[np.floating]
) -> Vector:
    """Return a quaternion x, y, z, w of unit length as a new float64 array.

    Raises:
        ValueError: If it is no unit quaternion.
    """
    quaternion = checked_vector(f"{name}, as x y z w,", values, 4)
    length = math.sqrt(float(quaternion @ quaternion))
    if not is_unit(quaternion.tolist()):
        raise ValueError(
            f"{name}, as x y z w, is {values} and has length {length:.4g}: expected a unit "
            "quaternion"
        )
    return quaternion / length
