"""Where each element of proprioception comes from; messages are accessed by field name only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rlt_core.control.joint_states import JointStates
from rlt_core.control.tool_pose import frame_fault, tool_yaw

POSE, WRENCH, JOINTS = "tcp_pose", "tcp_wrench", "joint_states"
VELOCITY = ".velocity"


@dataclass(frozen=True)
class Element:
    """One element of proprioception.

    Attributes:
        name: Its name in the contract.
        topic: Where it comes from.
        read: Reads its value from a part of that topic, see `Parts`.
        joint: The joint it belongs to, empty if it belongs to the tool.
    """

    name: str
    topic: str
    read: Callable[[Any], float]
    joint: str = ""

    @property
    def source(self) -> str:
        """Name of the part that it is read from."""
        return _of(self.joint) if self.joint else self.topic

    @property
    def is_position(self) -> bool:
        """Whether it is a position, in m or rad, that does not wrap around at a full turn."""
        return self.name == self.joint or (self.topic == POSE and self.name != "yaw")


class Parts:
    """Splits messages into parts that are measured, and age, independently.

    A part is the complete message, or one joint of joint_states: the drivers of an arm and of its
    gripper may both publish there, each its own joints.
    """

    def __init__(self, elements: Iterable[Element], frame: str) -> None:
        """Set up.

        Args:
            elements: What is read from the parts.
            frame: Frame in which the tool's pose and wrench are expected.
        """
        self._frame = frame
        self._joints = JointStates(element.joint for element in elements if element.joint)

    def of(self, topic: str, message: Any, stamp: float, now: float) -> dict[str, Any]:
        """The parts of a message, by name; empty if it holds none of the elements.

        Args:
            topic: Where it came from.
            message: The message.
            stamp: Its stamp, s.
            now: When it was received, monotonic s.

        Raises:
            ValueError: If joint_states is malformed, or the tool's pose or wrench is in another
                frame.
        """
        framed = topic in (POSE, WRENCH)
        fault = frame_fault(topic, message.header.frame_id, self._frame) if framed else ""
        if fault:
            raise ValueError(fault)
        if topic != JOINTS:
            return {topic: message}
        updated = self._joints.merge(message.name, message.position, message.velocity, stamp, now)
        return {_of(joint): self._joints.samples[joint] for joint in updated}


def element_of(name: str) -> Element:
    """Where an element of proprioception comes from.

    x, y, z, yaw belong to the tool's pose; fx, fy, fz, tx, ty, tz to its wrench; any other name is
    a joint's position, or its velocity if it ends in ".velocity".
    """
    if name in ("x", "y", "z"):
        return Element(name, POSE, lambda message: getattr(message.pose.position, name))
    if name == "yaw":
        return Element(name, POSE, _yaw)
    if name in ("fx", "fy", "fz"):
        return Element(name, WRENCH, lambda message: getattr(message.wrench.force, name[1]))
    if name in ("tx", "ty", "tz"):
        return Element(name, WRENCH, lambda message: getattr(message.wrench.torque, name[1]))
    if name.endswith(VELOCITY):
        return Element(name, JOINTS, lambda joint: joint.velocity, name.removesuffix(VELOCITY))
    return Element(name, JOINTS, lambda joint: joint.position, name)


def _of(joint: str) -> str:
    return f"{joint} in {JOINTS}"


def _yaw(message: Any) -> float:
    turn = message.pose.orientation
    return tool_yaw(turn.x, turn.y, turn.z, turn.w)
