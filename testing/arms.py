"""An arm without meshes, and plain rotations to check its kinematics with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlt_policy.kinematics.limits import JointLimits
from rlt_policy.kinematics.urdf import read_joints

ROOT = Path(__file__).resolve().parents[1]
UR5E = (ROOT / "config/robots/ur5e.urdf").read_text(encoding="utf-8")
_JOINTS = [joint for joint in read_joints(UR5E).values() if joint.kind == "revolute"]
NAMES = [joint.name for joint in _JOINTS]
LIMITS = JointLimits(
    [joint.low for joint in _JOINTS], [joint.high for joint in _JOINTS],
    [joint.velocity for joint in _JOINTS],
)
WORKING = np.array([0.2, -1.2, 1.7, -2.0, -1.5, 0.3])
"""Joint positions in the middle of the workspace, rad."""


def cross(vector):
    """The matrix that does what the cross product with the vector does."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def quaternion(rotation_vector):
    """x, y, z, w of a rotation vector, rad."""
    vector = np.asarray(rotation_vector, float)
    half = 0.5 * np.linalg.norm(vector)
    return np.append(0.5 * np.sinc(half / np.pi) * vector, np.cos(half))


def rotation(xyzw):
    """The matrix of a unit quaternion."""
    *vector, real = xyzw
    return np.eye(3) + 2.0 * (real * cross(vector) + cross(vector) @ cross(vector))


def turned(rotation_vector, xyzw):
    """A quaternion that is turned further by a rotation vector in the base's frame."""
    *first, a = quaternion(rotation_vector)
    *second, b = xyzw
    vector = a * np.array(second) + b * np.array(first) + np.cross(first, second)
    return np.append(vector, a * b - np.dot(first, second))


def affine(position, matrix):
    """A pose as a matrix (4, 4)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = matrix, position
    return pose
