"""The observer: cameras and robot state in, one `Observation` per stride tick out.

It never waits for a camera. In lockstep the observation of a tick is complete when every source
has delivered that tick; in real time it takes the newest of each source when the controller
counts a stride tick, and names a source that is stale, skewed or frozen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import Image, JointState

from rlt_core.contract import CameraSpec
from rlt_core.rates import Rate, Spread
from rlt_interfaces.msg import ControlStep, Observation
from rlt_node import qos
from rlt_node.conversions import image_from_msg, image_to_msg, seconds, tick_of_stamp
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Refused
from rlt_policy.backlog import Backlog
from rlt_policy.elements import JOINTS, POSE, WRENCH, element_of
from rlt_policy.faults import Fault, Faults
from rlt_policy.sources import ObserverSettings, Sources, Vector

START_SECONDS = 5.0  # in which drivers may still be starting
SILENT_SECONDS = 2.0  # without a control step
MESSAGES = {POSE: PoseStamped, WRENCH: WrenchStamped, JOINTS: JointState}
IMAGES = "/image_raw"
REFUSALS = ("missing", "age", "skew", "frozen", "queued", "nonfinite", "names", "image")
LARGEST = float(np.finfo(np.float32).max)


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
        settings = declare(self, ObserverSettings)
        refuse_unknown(self)
        self._contract = contract = self._graph.contract()
        self._elements = [element_of(name) for name in contract.proprio.names]
        self._cameras = {camera_topic(spec): spec for spec in contract.cameras}
        robot = [s for s in MESSAGES if any(element.source == s for element in self._elements)]
        self._names = [*self._cameras, *robot]
        self._sources = Sources(self._names, self._cameras, settings)
        self._backlog = Backlog(contract.dt, settings.max_age_s)
        self._collection = Collection()
        self._faults = Faults(time.monotonic() + START_SECONDS)
        self._problem = ""
        self._stepped_at = time.monotonic()
        self._rates = {source: Rate() for source in self._names}
        self._published = Rate()
        self._age = Spread()
        self._publisher = self.create_publisher(Observation, "observation", qos.BARRIER)
        profile = qos.sensor(self._graph.lockstep)
        receive = self._collect if self._graph.lockstep else self._keep
        for source in self._names:
            self.create_subscription(
                MESSAGES.get(source, Image), source, self._receiver(receive, source), profile
            )
        if self._graph.lockstep:
            self.create_timer(0.5, self._watch)
        else:
            # The step that is now or none: a reliable reader that lost some waits for all of them.
            self.create_subscription(ControlStep, "control_step", self._on_step, qos.SENSOR)
        Diagnostics(self, self._health)

    def _receiver(
        self, receive: Callable[[str, Any, float], None], source: str
    ) -> Callable[[Any], None]:
        def count_and_receive(message: Any) -> None:
            now = time.monotonic()
            self._rates[source].count(now)
            receive(source, message, now)

        return count_and_receive

    # ---- Lockstep: everything of one tick -----------------------------------------------------

    def _collect(self, source: str, message: Any, now: float) -> None:
        tick = tick_of_stamp(message.header.stamp, self._contract.rate_hz)
        if tick % self._contract.stride:
            return
        if tick > self._collection.tick:
            self._collection = Collection(tick, now)
        if tick < self._collection.tick:
            return
        messages = self._collection.messages
        messages[source] = message
        if len(messages) == len(self._names):
            self._collection.sent = True
            fault = self._publish(tick, messages)
            if fault:
                raise Refused(fault.message)

    def _watch(self) -> None:
        """End the run if a source keeps everybody waiting."""
        collection = self._collection
        waited = time.monotonic() - collection.since
        if collection.messages and not collection.sent and waited > self._graph.silence_s:
            missing = [source for source in self._names if source not in collection.messages]
            raise Refused(
                f"nothing came on {', '.join(missing)} for tick {collection.tick} within "
                f"{self._graph.silence_s:g} s, while other sources did: start that driver or remap "
                "the topic"
            )

    # ---- Real time: the newest of everything --------------------------------------------------

    def _keep(self, source: str, message: Any, now: float) -> None:
        stamp = seconds(message.header.stamp)
        position = self._position() if source in self._cameras else None
        self._sources.keep(source, message, stamp, now, position)

    def _position(self) -> Vector | None:
        """Measured place of the tool and of the joints, None until all of it is known."""
        try:
            return np.array([
                element.read(self._sources.newest[element.source])
                for element in self._elements
                if element.is_position
            ])
        except LookupError:
            return None

    def _on_step(self, step: ControlStep) -> None:
        now = self._stepped_at = time.monotonic()
        live = self._backlog.is_live(now)
        if step.tick % self._contract.stride:
            return
        if not live:
            self._faults.counts["queued"] += 1
            return
        fault = self._sources.fault(now) or self._publish(step.tick, self._sources.newest)
        if fault:
            again, self._problem = bool(self._problem), f"no observation: {fault.message}"
            if fault.code == "skew" and not again:  # a clock that is set skews one observation
                self._faults.counts[fault.code] += 1
            elif self._faults.note(fault, now):
                self.get_logger().error(self._problem)
            return
        self._problem = ""
        self._age.add(max(self._sources.ages(now).values()))
        for source in self._faults.work(now):
            self.get_logger().info(f"observations come again: {source} is well")

    # ---- Both ---------------------------------------------------------------------------------

    def _publish(self, tick: int, messages: dict[str, Any]) -> Fault | None:
        """Publish the observation of a tick; return why not, None if it was published."""
        proprio = []
        for element in self._elements:
            source, name = element.source, element.name
            try:
                value = element.read(messages[source])
            except LookupError:
                return Fault(
                    "names", source, f"{source} carries no {name}: check the robot's driver"
                )
            if not abs(value) <= LARGEST:
                return Fault(
                    "nonfinite", source,
                    f"{name} in {source} is {value} at tick {tick}: check the robot's driver",
                )
            proprio.append(value)
        images = []
        for source, spec in self._cameras.items():
            try:
                images.append(self._fitted(messages[source], spec))
            except ValueError as error:
                return Fault("image", source, f"{source} at tick {tick}: {error}")
        stamps = [messages[source].header.stamp for source in self._names]
        observation = Observation(
            tick=tick,
            camera_names=[spec.name for spec in self._cameras.values()],
            images=images,
            proprio_names=self._contract.proprio.names,
            proprio=proprio,
            source_names=self._names,
            source_stamps=stamps,
        )
        observation.header.stamp = min(stamps, key=lambda stamp: (stamp.sec, stamp.nanosec))
        self._publisher.publish(observation)
        self._published.count(time.monotonic())
        return None

    def _health(self) -> Health:
        """Rates of the sources and of the observations, and what was refused."""
        now, lockstep = time.monotonic(), self._graph.lockstep
        ages = {} if lockstep else self._sources.ages(now)
        values: dict[str, object] = {}
        for source, rate in self._rates.items():
            short = source.removesuffix(IMAGES)
            values |= rate.summary(short, now)
            if source in ages:
                values[f"{short}_age_ms"] = 1e3 * ages[source]
        values |= self._published.summary("observation", now)
        if not lockstep:
            values |= self._age.summary("observation_age_ms", 1e3)
            values["skew_ms"] = 1e3 * self._sources.skew()
        values["published"] = self._published.total
        values |= {f"refused_{code}": self._faults.counts[code] for code in REFUSALS}
        if not lockstep and now - self._stepped_at > SILENT_SECONDS:
            silent = "no control_step comes, so nothing is observed: check chunk_controller"
            return Health(Level.STALE, silent, values)
        return Health(Level.ERROR if self._problem else Level.OK, self._problem or "ok", values)

    @staticmethod
    def _fitted(message: Image, spec: CameraSpec) -> Image:
        """The image in the contract's size and encoding; untouched if it has them.

        Raises:
            ValueError: If the encoding is another or the data is not what the header says.
        """
        found = (message.width, message.height, message.encoding, message.step, len(message.data))
        row = 3 * spec.width
        if found == (spec.width, spec.height, spec.encoding, row, row * spec.height):
            return message
        image = np.ascontiguousarray(image_from_msg(message))
        if (message.width, message.height) != (spec.width, spec.height):
            import cv2  # only cameras of another size pay for it

            size = (spec.width, spec.height)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return image_to_msg(image, message.header.stamp, message.header.frame_id)


def camera_topic(spec: CameraSpec) -> str:
    """Topic of a camera's images."""
    return spec.name + IMAGES
