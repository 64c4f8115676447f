"""The robot file: one YAML document that says all that is specific to a robot.

`read_robot` checks it; what an output needs beyond its `type` is checked by that output.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from rlt_core.action_space import (
    BASE,
    OWN,
    ActionGroup,
    ActionSpace,
    ToolGroup,
    ToolYawGroup,
    gripper,
    joints,
    tool,
    tool_yaw,
)
from rlt_core.contract import Contract
from rlt_core.control.motion_limits import GroupLimits, MotionLimits
from rlt_core.control.rotations import IDENTITY, Quaternion, is_unit
from rlt_core.robot.entries import Entry, FilePath, Number, Positive, Triple, read_entries
from rlt_core.robot.limits import AxisLimits, ToolLimits


def _unit(rotation: Quaternion) -> Quaternion:
    if not is_unit(rotation):
        raise ValueError("Input should be a quaternion of length 1, x y z w")
    return rotation


Rotation = Annotated[tuple[Number, Number, Number, Number], AfterValidator(_unit)]
"""An orientation as a unit quaternion x, y, z, w."""


AngleUnit = Literal["rad", "deg"]
RADIANS = {"rad": 1.0, "deg": math.pi / 180.0}
"""What one unit of a driver's messages is, rad."""


class Camera(Entry):
    """Where a camera's images come from, and how they are fitted to the size that the model sees.

    Reliability is that of the subscription: `best_effort` receives from every driver, `reliable`
    only from drivers that publish so.
    """

    topic: str = Field(description="topic of its images", examples=["wrist/image_raw"])
    transport: Literal["raw", "compressed"] = Field(
        "raw", description="sensor_msgs/msg/Image, or sensor_msgs/msg/CompressedImage"
    )
    reliability: Literal["best_effort", "reliable"] = Field(
        "best_effort", description="quality of service of the subscription"
    )
    fit: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="how an image of another shape becomes the model's: stretched, its middle cut "
        "out, or with black borders",
    )


class PoseSource(Entry):
    """The tool's measured pose: elements x y z and yaw, or x y z rx ry rz."""

    type: Literal["pose"]
    topic: str = Field(description="geometry_msgs/msg/PoseStamped", examples=["tcp_pose"])
    frame: str = Field(description="frame_id of its messages", examples=["base_link"])
    prefix: str = Field("", description="what the names of its elements begin with")


class WrenchSource(Entry):
    """The measured wrench at the tool: elements fx fy fz tx ty tz, N and N m."""

    type: Literal["wrench"]
    topic: str = Field(description="geometry_msgs/msg/WrenchStamped", examples=["tcp_wrench"])
    frame: str = Field(description="frame_id of its messages", examples=["base_link"])
    prefix: str = Field("", description="what the names of its elements begin with")


class JointSource(Entry):
    """Measured joints: positions by the joint's name, velocities by `<name>.velocity`."""

    type: Literal["joints"]
    topic: str = Field(description="sensor_msgs/msg/JointState", examples=["joint_states"])
    unit: AngleUnit = Field("rad", description="unit of the driver's messages: rad or deg")


Source = Annotated[PoseSource | WrenchSource | JointSource, Field(discriminator="type")]


class WatchedJoint(Entry):
    """Limits of a measured joint, rad or m."""

    min: Number = Field(description="lowest position", examples=[-3.14])
    max: Number = Field(description="highest position", examples=[3.14])
    velocity: Positive = Field(
        description="speed that this joint cannot exceed, per second", examples=[3.14]
    )


class WatchedJoints(Entry):
    """The joints of an arm that is driven by its tool: near a limit it must not move."""

    topic: str = Field(description="sensor_msgs/msg/JointState", examples=["joint_states"])
    margin: Positive = Field(
        description="distance from a limit at which the controller holds, rad", examples=[0.1]
    )
    limits: dict[str, WatchedJoint] = Field(description="limits by joint", min_length=1)

    @model_validator(mode="after")
    def _leaves_room(self) -> WatchedJoints:
        for name, joint in self.limits.items():
            if not joint.min + self.margin < joint.max - self.margin:
                raise ValueError(
                    f"Input should leave room between min {joint.min:g} and max {joint.max:g} of "
                    f"{name} for twice the margin {self.margin:g}"
                )
        return self


class Kinematics(Entry):
    """How the joints of an arm move its tool, for an arm that is driven by its joints.

    The driven joints are those of the group's `joints`, in their order.
    """

    urdf: FilePath = Field(
        description="URDF of the arm, relative to this file", examples=["ur5e.urdf"]
    )
    base: str = Field(description="link in whose frame the tool is", examples=["base_link"])
    tip: str = Field(description="link that carries the tool", examples=["tool0"])
    tcp: Triple = Field(
        (0.0, 0.0, 0.0), description="tool centre point in the frame of the tip, m"
    )
    tcp_orientation: Rotation = Field(
        IDENTITY, description="orientation of the tool in the frame of the tip, quaternion x y z w"
    )
    acceleration: Positive = Field(
        description="largest acceleration of each joint, rad/s^2", examples=[15.0]
    )


class Output(Entry):
    """How a group is driven; each type of output checks its own further keys."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(
        description="an entry point of rlt.robot_output", examples=["cartesian_pose"]
    )

    @property
    def options(self) -> dict[str, Any]:
        """The keys beside `type`."""
        return dict(self.model_extra or {})


class _EveryGroup(Entry):
    """What all groups say."""

    group: str = Field(description="name of the group", examples=["arm"])
    output: Output = Field(description="what drives it")


class ToolYawEntry(_EveryGroup):
    """A tool that points down: x y z in m, and yaw in rad about the vertical."""

    kind: Literal["tool_yaw"]
    frame: str = Field(description="frame_id of its poses", examples=["base_link"])
    prefix: str = Field("", description="what the names of its axes begin with")
    limits: dict[str, AxisLimits] = Field(description="limits by axis")
    tilt_max: Positive = Field(
        description="largest angle of the measured tool from straight down, rad",
        le=0.5, examples=[0.1],
    )
    joints: WatchedJoints = Field(description="the arm's joints")

    @model_validator(mode="after")
    def _limits_every_axis(self) -> ToolYawEntry:
        if tuple(self.limits) != self.action.names:
            raise ValueError(
                f"Input should have limits of the axes {', '.join(self.action.names)}, in this "
                "order"
            )
        return self

    @property
    def action(self) -> ToolYawGroup:
        """Its axes."""
        return tool_yaw(self.group, self.frame, self.prefix)


class ToolEntry(_EveryGroup):
    """A tool with six degrees of freedom: x y z in m, and rotation vectors in rad."""

    kind: Literal["tool"]
    frame: str = Field(description="frame_id of its poses", examples=["base_link"])
    prefix: str = Field("", description="what the names of its axes begin with")
    increments: Literal["base", "tool"] = Field(
        description="frame of its increments: the base's or the tool's own", examples=[BASE, OWN]
    )
    orientation: Rotation = Field(
        description="nominal orientation, quaternion x y z w", examples=[[1.0, 0.0, 0.0, 0.0]]
    )
    limits: ToolLimits = Field(description="limits of translation and rotation")
    joints: WatchedJoints = Field(description="the arm's joints")
    kinematics: Kinematics | None = Field(
        None, description="how the joints move the tool, where the output drives joints"
    )

    @model_validator(mode="after")
    def _has_one_base(self) -> ToolEntry:
        if self.kinematics is not None and self.kinematics.base != self.frame:
            raise ValueError(
                f"Input should have the same link as frame ({self.frame}) and as base of its "
                f"kinematics ({self.kinematics.base})"
            )
        return self

    @property
    def action(self) -> ToolGroup:
        """Its axes."""
        return tool(self.group, self.frame, self.increments, self.orientation, self.prefix)


class JointsEntry(_EveryGroup):
    """Joints that are driven by position, rad; or m, for those that slide."""

    kind: Literal["joints"]
    topic: str = Field(
        description="its measured joints, sensor_msgs/msg/JointState", examples=["joint_states"]
    )
    limits: dict[str, AxisLimits] = Field(
        description="limits by joint, in the order of the action", min_length=1
    )
    sliding: tuple[str, ...] = Field((), description="those of them that are in m")
    unit: AngleUnit = Field("rad", description="unit of the driver's messages: rad or deg")

    @model_validator(mode="after")
    def _turns_if_in_degrees(self) -> JointsEntry:
        if self.unit == "deg" and self.sliding:
            raise ValueError("Input should have no sliding joints where the driver uses degrees")
        return self

    @property
    def action(self) -> ActionGroup:
        """Its axes."""
        units = ["m" if name in self.sliding else "rad" for name in self.limits]
        return joints(self.group, list(self.limits), units)


class GripperEntry(_EveryGroup):
    """A gripper: its opening from 0, closed, to 1, open."""

    kind: Literal["gripper"]
    limits: AxisLimits = Field(description="limits of the opening")

    @model_validator(mode="after")
    def _opens_from_0_to_1(self) -> GripperEntry:
        if self.limits.min < 0.0 or self.limits.max > 1.0:
            raise ValueError("Input should have limits of the opening from 0, closed, to 1, open")
        return self

    @property
    def action(self) -> ActionGroup:
        """Its axis."""
        return gripper(self.group)


GroupEntry = ToolYawEntry | ToolEntry | JointsEntry | GripperEntry


class Robot(Entry):
    """The content of a robot's file.

    Attributes:
        robot: Its name.
        rate_hz: Control rate.
        max_age_ticks: Oldest robot state or human command that may be used, ticks.
        cameras: By the name that the model uses.
        proprioception: Where the model's measurements come from.
        action: The groups of the action vector, in its order.
    """

    robot: str = Field(description="name of the robot", examples=["ur5e"])
    rate_hz: Positive = Field(description="control rate", examples=[50.0])
    max_age_ticks: int = Field(
        description="oldest robot state or human command that may be used, ticks",
        ge=1, examples=[5],
    )
    cameras: dict[str, Camera] = Field(description="cameras by the model's name of each")
    proprioception: tuple[Source, ...] = Field(description="where measurements come from")
    action: tuple[Annotated[GroupEntry, Field(discriminator="kind")], ...] = Field(
        description="groups of axes that are driven", min_length=1
    )

    @model_validator(mode="after")
    def _has_one_meaning_per_name(self) -> Robot:
        self.space  # noqa: B018 - raises ValueError
        return self

    @model_validator(mode="after")
    def _has_one_source_per_name(self) -> Robot:
        joints = [source.topic for source in self.proprioception if source.type == "joints"]
        if len(joints) > 1:
            raise ValueError(
                f"Input should have one source of joints in proprioception, not {len(joints)} "
                f"({', '.join(joints)}): have their drivers publish on one topic"
            )
        topics = [camera.topic for camera in self.cameras.values()]
        if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
            raise ValueError(f"Input should have one camera per topic, not two of {twice[0]}")
        return self

    @property
    def space(self) -> ActionSpace:
        """The action vector."""
        return ActionSpace(tuple(group.action for group in self.action))

    @property
    def limits(self) -> MotionLimits:
        """Motion limits of all groups."""
        groups: dict[str, GroupLimits] = {
            group.group: {group.group: group.limits}
            if isinstance(group, GripperEntry) else group.limits
            for group in self.action
        }
        return MotionLimits(groups, self.max_age_ticks)

    def require(self, contract: Contract) -> None:
        """Check that the model can drive this robot.

        Raises:
            ValueError: If a camera is missing, or rate or action differ; names both sides.
        """
        missing = [spec.name for spec in contract.cameras if spec.name not in self.cameras]
        if missing:
            raise ValueError(
                f"the model sees the cameras {', '.join(missing)}, which robot {self.robot} does "
                f"not have (it has {', '.join(self.cameras) or 'none'}): add them to its file"
            )
        if self.rate_hz != contract.rate_hz:
            raise ValueError(
                f"robot {self.robot} is controlled at {self.rate_hz:g} Hz, the model was made for "
                f"{contract.rate_hz:g} Hz: use one rate for both"
            )
        ours = [_describe(group) for group in self.space.groups]
        theirs = [_describe(group) for group in contract.action.groups]
        if ours != theirs:
            raise ValueError(
                f"robot {self.robot} is driven by {'; '.join(ours)}, the model by "
                f"{'; '.join(theirs)}: use a model that was made for this robot"
            )


def read_robot(path: Path) -> Robot:
    """Read a robot's file.

    Raises:
        ValueError: If it cannot be read or is invalid; names all errors.
    """
    return read_entries("robot file", path, Robot)


def _describe(group: ActionGroup) -> str:
    """All that both sides must agree on."""
    details: Mapping[str, Any] = {
        item.name: getattr(group, item.name)
        for item in dataclasses.fields(group) if item.name not in ("name", "kind")
    }
    return f"{group.kind} {group.name} " + ", ".join(f"{k} {v}" for k, v in details.items())
