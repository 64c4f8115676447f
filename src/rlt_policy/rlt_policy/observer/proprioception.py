"""Where each element of proprioception comes from; messages are accessed by field name only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rlt_core.action_space import ActionSpace, ToolGroup
from rlt_core.control.joint_states import JointStates
from rlt_core.control.rotations import Quaternion, between
from rlt_core.control.tool_pose import frame_fault, orientation_fault, tool_yaw
from rlt_core.robot.robot_file import (
    RADIANS,
    JointSource,
    PoseSource,
    Source,
    WrenchSource,
)

VELOCITY = ".velocity"
PLACE, ROTATION = ("x", "y", "z"), ("rx", "ry", "rz")
FORCE, TORQUE = ("fx", "fy", "fz"), ("tx", "ty", "tz")


@dataclass(frozen=True)
class Element:
    """One element of proprioception.

    Attributes:
        name: Its name in the contract.
        topic: Where it comes from.
        read: Reads its value from a part of that topic, see `Parts`.
        joint: The joint it belongs to, empty if it belongs to the tool.
        is_position: Whether it is a position, in m or rad, that does not wrap around at a full
            turn.
    """

    name: str
    topic: str
    read: Callable[[Any], float]
    joint: str = ""
    is_position: bool = False

    @property
    def source(self) -> str:
        """Name of the part that it is read from."""
        return _of(self.joint, self.topic) if self.joint else self.topic


class Parts:
    """Splits messages into parts that are measured, and age, independently.

    A part is the complete message, or one joint of joint_states: the drivers of an arm and of its
    gripper may both publish there, each its own joints.
    """

    def __init__(self, elements: Iterable[Element], sources: Sequence[Source]) -> None:
        """Set up.

        Args:
            elements: What is read from the parts.
            sources: The topics, with the frame in which a tool's pose and wrench are expected.
        """
        joints: dict[str, list[str]] = {}
        for element in elements:
            if element.joint:
                joints.setdefault(element.topic, []).append(element.joint)
        self._joints: dict[str, JointStates] = {}
        self._frames: dict[str, str] = {}
        self._poses = {source.topic for source in sources if isinstance(source, PoseSource)}
        for source in sources:
            if not isinstance(source, JointSource):
                self._frames[source.topic] = source.frame
            elif source.topic in joints:
                self._joints[source.topic] = JointStates(
                    joints[source.topic], source.topic, RADIANS[source.unit]
                )

    def of(self, topic: str, message: Any, stamp: float, now: float) -> dict[str, Any]:
        """The parts of a message, by name; empty if it holds none of the elements.

        Args:
            topic: Where it came from.
            message: The message.
            stamp: Its stamp, s.
            now: When it was received, monotonic s.

        Raises:
            ValueError: If joint_states is malformed, the tool's pose or wrench is in another frame,
                or its orientation is not a unit quaternion.
        """
        if topic in self._frames:
            fault = frame_fault(topic, message.header.frame_id, self._frames[topic])
            if not fault and topic in self._poses:
                fault = orientation_fault(topic, _turn(message))
            if fault:
                raise ValueError(fault)
        if topic not in self._joints:
            return {topic: message}
        joints = self._joints[topic]
        updated = joints.merge(message.name, message.position, message.velocity, stamp, now)
        return {_of(joint, topic): joints.samples[joint] for joint in updated}


def elements_of(
    names: Sequence[str], sources: Sequence[Source], action: ActionSpace
) -> list[Element]:
    """Where the elements of proprioception come from.

    x, y, z and yaw or rx, ry, rz belong to a tool's pose; fx, fy, fz, tx, ty, tz to its wrench; any
    other name is a joint's position, or its velocity if it ends in ".velocity".

    Args:
        names: The elements' names in the contract.
        sources: What the robot measures.
        action: Its action groups: rx, ry, rz count from the nominal orientation of the tool group
            whose axes begin with the same prefix.

    Raises:
        ValueError: If the robot does not measure one of them.
    """
    return [_element(name, sources, action) for name in names]


def _element(name: str, sources: Sequence[Source], action: ActionSpace) -> Element:
    for source in sources:
        if isinstance(source, PoseSource) and name.startswith(source.prefix):
            axis = name.removeprefix(source.prefix)
            if axis in PLACE:
                return Element(name, source.topic, _place_reader(axis), is_position=True)
            if axis == "yaw":
                return Element(name, source.topic, lambda message: tool_yaw(*_turn(message)))
            if axis in ROTATION:
                read = _rotation_reader(axis, _nominal(name, action))
                return Element(name, source.topic, read, is_position=True)
        elif isinstance(source, WrenchSource) and name.startswith(source.prefix):
            axis = name.removeprefix(source.prefix)
            if axis in FORCE + TORQUE:
                return Element(name, source.topic, _wrench_reader(axis))
    of_a_tool = name.rpartition(".")[2] in (*PLACE, *ROTATION, *FORCE, *TORQUE, "yaw")
    for source in sources:
        if isinstance(source, JointSource) and not of_a_tool:
            joint = name.removesuffix(VELOCITY)
            if joint != name:
                return Element(name, source.topic, lambda sample: float(sample.velocity), joint)
            return Element(name, source.topic, lambda sample: float(sample.position), joint, True)
    known = ", ".join(f"{source.type} {source.topic}" for source in sources) or "nothing"
    raise ValueError(
        f"the model's proprioception has {name}, but the robot file measures {known}: add the "
        "source of it to its proprioception"
    )


def _place_reader(axis: str) -> Callable[[Any], float]:
    return lambda message: float(getattr(message.pose.position, axis))


def _rotation_reader(axis: str, nominal: Quaternion) -> Callable[[Any], float]:
    index = ROTATION.index(axis)
    return lambda message: float(between(nominal, _turn(message))[index])


def _wrench_reader(axis: str) -> Callable[[Any], float]:
    part = "force" if axis in FORCE else "torque"
    return lambda message: float(getattr(getattr(message.wrench, part), axis[1]))


def _nominal(name: str, action: ActionSpace) -> Quaternion:
    """The nominal orientation of the tool group that has an axis of this name."""
    for group in action.groups:
        if isinstance(group, ToolGroup) and name in group.names:
            return group.nominal
    raise ValueError(
        f"the model's proprioception has {name}, but no action group of kind tool has an axis of "
        "this name, so its nominal orientation is unknown"
    )


def _turn(message: Any) -> Quaternion:
    turn = message.pose.orientation
    return turn.x, turn.y, turn.z, turn.w


def _of(joint: str, topic: str) -> str:
    return f"{joint} in {topic}"
