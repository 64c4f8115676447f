"""Rotations of a tool: unit quaternions (x, y, z, w) and rotation vectors in rad.

A rotation vector points along the axis of a rotation and is as long as its angle. Orientations are
composed as quaternions, so nothing depends on Euler angles; angles between two orientations are at
most half a turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transforms3d.quaternions import axangle2quat, qmult, rotate_vector

Quaternion = tuple[float, float, float, float]
Vector = NDArray[np.float64]

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)
NORM_TOLERANCE = 1e-3
"""A quaternion further from unit length is invalid: float32 is off by 1e-7."""


def compose(second: Quaternion, first: Quaternion) -> Quaternion:
    """The rotation that applies `first`, then `second`, both in the base frame."""
    return _ours(qmult(_theirs(second), _theirs(first)))


def inverse(rotation: Quaternion) -> Quaternion:
    """The rotation that undoes another."""
    x, y, z, w = rotation
    return (-x, -y, -z, w)


def rotate(rotation: Quaternion, vector: Sequence[float] | Vector) -> Vector:
    """A vector (3,) turned by a rotation."""
    return np.asarray(rotate_vector(vector, _theirs(rotation)), np.float64)


def from_vector(vector: Sequence[float] | Vector) -> Quaternion:
    """The rotation of a rotation vector (3,), rad; of any length."""
    angle = math.hypot(*vector)
    if angle == 0.0:
        return IDENTITY
    return _ours(axangle2quat(np.divide(vector, angle), angle, is_normalized=True))


def to_vector(rotation: Quaternion) -> Vector:
    """The shortest rotation vector, float64 (3,), rad, of a rotation.

    Not with transforms3d, whose `quat2axangle` rounds small angles through the arc cosine: an angle
    of 1e-9 rad would become 0.
    """
    x, y, z, w = rotation if rotation[3] >= 0.0 else tuple(-part for part in rotation)
    sine = math.hypot(x, y, z)
    scale = 2.0 * math.atan2(sine, w) / sine if sine > 0.0 else 2.0
    return np.array([scale * x, scale * y, scale * z])


def between(start: Quaternion, end: Quaternion) -> Vector:
    """Rotation vector (3,), rad, in the base frame, that turns `start` into `end`."""
    return to_vector(compose(end, inverse(start)))


def turned(start: Quaternion, vector: Sequence[float] | Vector) -> Quaternion:
    """The orientation `start` after a rotation vector (3,), rad, in the base frame."""
    return normalised(compose(from_vector(vector), start))


def normalised(rotation: Quaternion) -> Quaternion:
    """The rotation with its length, off by rounding, made one again."""
    length = math.hypot(*rotation)
    x, y, z, w = rotation
    return (x / length, y / length, z / length, w / length)


def is_unit(rotation: Sequence[float]) -> bool:
    """Whether a quaternion is finite and of unit length, but for rounding."""
    return abs(math.hypot(*rotation) - 1.0) <= NORM_TOLERANCE


def _theirs(rotation: Quaternion) -> tuple[float, float, float, float]:
    """The order of transforms3d: w first."""
    x, y, z, w = rotation
    return (w, x, y, z)


def _ours(rotation: Vector) -> Quaternion:
    w, x, y, z = (float(part) for part in rotation)
    return (x, y, z, w)
