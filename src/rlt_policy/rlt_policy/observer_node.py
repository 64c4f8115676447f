"""The observer: cameras and robot state in, one `Observation` per stride tick out.

It never waits for a camera. In lockstep the observation of a tick is complete when every source
has delivered that tick; in real time it takes the newest of each source when the controller
counts a stride tick, and names a source that is stale.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import Image, JointState

from rlt_core.contract import CameraSpec
from rlt_core.pose import tool_yaw
from rlt_core.settings import setting
from rlt_interfaces.msg import ControlStep, Observation
from rlt_node import qos
from rlt_node.conversions import image_from_msg, image_to_msg, tick_of_stamp
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Refused

POSE, WRENCH, JOINTS = "tcp_pose", "tcp_wrench", "joint_states"
START_SECONDS = 5.0  # in which drivers may still be starting
MESSAGES = {POSE: PoseStamped, WRENCH: WrenchStamped, JOINTS: JointState}


@dataclass(frozen=True)
class ObserverSettings:
    """When a source is too old or too far from the others."""

    max_age_s: float = setting(
        0.1, "real time: oldest source that an observation may contain, s", low=0.001
    )
    max_skew_s: float = setting(
        0.05, "real time: largest distance of two sources' stamps, s", low=0.001
    )


@dataclass(frozen=True)
class Element:
    """One element of proprioception: which source has it, and how it is read."""

    name: str
    source: str
    read: Callable[[Any], float]


@dataclass
class Collection:
    """The sources of one tick as far as they have come (lockstep)."""

    tick: int = -1
    since: float = 0.0
    messages: dict[str, Any] = field(default_factory=dict)
    sent: bool = False


class ObserverNode(GuardedNode):
    """Joins the sources that the contract names."""

    def __init__(self) -> None:
        """Subscribe to the contract's cameras and to what its proprioception needs."""
        super().__init__("observer")
        self._graph = declare(self, GraphSettings)
        self._settings = declare(self, ObserverSettings)
        refuse_unknown(self)
        self._contract = contract = self._graph.contract()
        self._elements = [element_of(name) for name in contract.proprio.names]
        self._cameras = {camera_topic(spec): spec for spec in contract.cameras}
        robot = [s for s in MESSAGES if any(element.source == s for element in self._elements)]
        self._sources = [*self._cameras, *robot]
        self._newest: dict[str, tuple[float, Any]] = {}
        self._collection = Collection()
        self._began = time.monotonic()
        self._publisher = self.create_publisher(Observation, "observation", qos.BARRIER)
        profile = qos.sensor(self._graph.lockstep)
        receive = self._collect if self._graph.lockstep else self._keep
        for source in self._sources:
            self.create_subscription(
                MESSAGES.get(source, Image), source, self._receiver(receive, source), profile
            )
        if self._graph.lockstep:
            self.create_timer(0.5, self._watch)
        else:
            self.create_subscription(ControlStep, "control_step", self._on_step, qos.BARRIER)

    @staticmethod
    def _receiver(
        receive: Callable[[str, Any], None], source: str
    ) -> Callable[[Any], None]:
        return lambda message: receive(source, message)

    # ---- Lockstep: everything of one tick -----------------------------------------------------

    def _collect(self, source: str, message: Any) -> None:
        tick = tick_of_stamp(message.header.stamp, self._contract.rate_hz)
        if tick % self._contract.stride:
            return
        if tick > self._collection.tick:
            self._collection = Collection(tick, time.monotonic())
        if tick < self._collection.tick:
            return
        messages = self._collection.messages
        messages[source] = message
        if len(messages) == len(self._sources):
            self._collection.sent = True
            problem = self._publish(tick, messages)
            if problem:
                raise Refused(problem)

    def _watch(self) -> None:
        """End the run if a source keeps everybody waiting."""
        collection = self._collection
        waited = time.monotonic() - collection.since
        if collection.messages and not collection.sent and waited > self._graph.silence_s:
            missing = [source for source in self._sources if source not in collection.messages]
            raise Refused(
                f"nothing came on {', '.join(missing)} for tick {collection.tick} within "
                f"{self._graph.silence_s:g} s, while other sources did: start that driver or remap "
                "the topic"
            )

    # ---- Real time: the newest of everything --------------------------------------------------

    def _keep(self, source: str, message: Any) -> None:
        self._newest[source] = (time.monotonic(), message)

    def _on_step(self, step: ControlStep) -> None:
        if step.tick % self._contract.stride:
            return
        problem = self._too_old() or self._publish(
            step.tick, {source: message for source, (_, message) in self._newest.items()}
        )
        if problem and time.monotonic() - self._began > START_SECONDS:
            self.get_logger().error(f"no observation: {problem}", throttle_duration_sec=2.0)

    def _too_old(self) -> str | None:
        """What makes an observation impossible now."""
        now, limit = time.monotonic(), self._settings.max_age_s
        for source in self._sources:
            if source not in self._newest:
                return f"nothing has come on {source}: start that driver or remap the topic"
            age = now - self._newest[source][0]
            if age > limit:
                return f"{source} is {age:.2f} s old (max_age_s {limit:g}): check its driver"
        stamps = {
            source: message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
            for source, (_, message) in self._newest.items()
        }
        first, last = min(stamps, key=stamps.__getitem__), max(stamps, key=stamps.__getitem__)
        skew = stamps[last] - stamps[first]
        if skew > self._settings.max_skew_s:
            return (
                f"{first} is {skew:.3f} s behind {last}, more than max_skew_s "
                f"{self._settings.max_skew_s:g}: synchronise the drivers' clocks"
            )
        return None

    # ---- Both ---------------------------------------------------------------------------------

    def _publish(self, tick: int, messages: dict[str, Any]) -> str | None:
        """Publish the observation of a tick; return why not, None if it was published."""
        proprio = []
        for element in self._elements:
            try:
                value = element.read(messages[element.source])
            except LookupError:
                return f"{element.source} carries no {element.name}: check the robot's driver"
            if not math.isfinite(value):
                return (
                    f"{element.name} in {element.source} is {value} at tick {tick}: check the "
                    "robot's driver"
                )
            proprio.append(value)
        try:
            images = [
                self._fitted(messages[topic], spec) for topic, spec in self._cameras.items()
            ]
        except ValueError as error:
            return f"tick {tick}: {error}"
        stamps = [messages[source].header.stamp for source in self._sources]
        observation = Observation(
            tick=tick,
            camera_names=[spec.name for spec in self._cameras.values()],
            images=images,
            proprio_names=self._contract.proprio.names,
            proprio=proprio,
            source_names=self._sources,
            source_stamps=stamps,
        )
        observation.header.stamp = min(stamps, key=lambda stamp: (stamp.sec, stamp.nanosec))
        self._publisher.publish(observation)
        return None

    @staticmethod
    def _fitted(message: Image, spec: CameraSpec) -> Image:
        """The image in the contract's size and encoding; untouched if it has them."""
        if (message.width, message.height, message.encoding) == (
            spec.width, spec.height, spec.encoding
        ):
            return message
        import cv2  # only cameras of another size pay for it

        image = image_from_msg(message)
        if (message.width, message.height) != (spec.width, spec.height):
            size = (spec.width, spec.height)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return image_to_msg(image, message.header.stamp, message.header.frame_id)


def camera_topic(spec: CameraSpec) -> str:
    """Topic of a camera's images."""
    return f"{spec.name}/image_raw"


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


def _yaw(message: PoseStamped) -> float:
    turn = message.pose.orientation
    return tool_yaw(turn.x, turn.y, turn.z, turn.w)


def _joint(message: JointState, joint: str, quantity: str) -> float:
    if joint not in message.name:
        raise LookupError(joint)
    return float(getattr(message, quantity)[list(message.name).index(joint)])
