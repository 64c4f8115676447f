"""Where each element of proprioception comes from; messages are read by their fields alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlt_core.pose import tool_yaw

POSE, WRENCH, JOINTS = "tcp_pose", "tcp_wrench", "joint_states"


@dataclass(frozen=True)
class Element:
    """One element of proprioception: which source has it, and how it is read."""

    name: str
    source: str
    read: Callable[[Any], float]

    @property
    def is_position(self) -> bool:
        """Whether it tells where the robot is, in m or rad without a turn's jump."""
        joint = self.source == JOINTS and "." not in self.name
        return joint or (self.source == POSE and self.name != "yaw")


def element_of(name: str) -> Element:
    """Where an element of proprioception comes from.

    x, y, z, yaw are of the tool's pose; fx, fy, fz, tx, ty, tz of its wrench; any other name is a
    joint's position, or its velocity if it ends in ".velocity".
    """
    if name in ("x", "y", "z"):
        return Element(name, POSE, lambda message: getattr(message.pose.position, name))
    if name == "yaw":
        return Element(name, POSE, _yaw)
    if name in ("fx", "fy", "fz"):
        return Element(name, WRENCH, lambda message: getattr(message.wrench.force, name[1]))
    if name in ("tx", "ty", "tz"):
        return Element(name, WRENCH, lambda message: getattr(message.wrench.torque, name[1]))
    joint, _, quantity = name.partition(".")
    return Element(name, JOINTS, lambda message: _joint(message, joint, quantity or "position"))


def _yaw(message: Any) -> float:
    turn = message.pose.orientation
    return tool_yaw(turn.x, turn.y, turn.z, turn.w)


def _joint(message: Any, joint: str, quantity: str) -> float:
    if joint not in message.name:
        raise LookupError(joint)
    return float(getattr(message, quantity)[list(message.name).index(joint)])
