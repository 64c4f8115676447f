"""The observer: cameras and robot state in, one `Observation` per stride tick out.

It never waits for a camera. In lockstep the observation of a tick is complete when every source
has delivered that tick. In real time, when the controller counts a stride tick, it takes what the
sources measured at one moment, the newest that all cameras show. It names a source that is silent,
late, skewed or frozen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import CompressedImage, Image, JointState

from rlt_interfaces.msg import ControlStep, Observation
from rlt_node import qos
from rlt_node.conversions import seconds, stamp_of
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.fault_log import Fault, FaultLog
from rlt_node.graph import GraphSettings, RobotSettings
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import NodeError
from rlt_node.rates import Rate, Spread
from rlt_policy.backlog import Backlog
from rlt_policy.observer.camera_images import camera_image
from rlt_policy.observer.frozen_camera import Vector
from rlt_policy.observer.proprioception import Parts, elements_of
from rlt_policy.observer.source_history import Sample
from rlt_policy.observer.source_pairing import Moment, ObserverSettings, Sources

START_SECONDS = 5.0  # in which drivers may still be starting
SILENT_SECONDS = 2.0  # without a control step
MESSAGES = {"pose": PoseStamped, "wrench": WrenchStamped, "joints": JointState}
TRANSPORTS = {"raw": Image, "compressed": CompressedImage}
REJECTIONS = (
    "missing", "age", "latency", "skew", "frozen", "queued", "nonfinite", "joints", "frame",
    "image",
)
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Collection:
    """The sources of one tick that have arrived so far (lockstep)."""

    tick: int = -1
    since: float = 0.0
    samples: dict[str, Sample] = field(default_factory=dict)
    sent: bool = False


class ObserverNode(FailFastNode):
    """Joins the sources that the contract names."""

    def __init__(self) -> None:
        """Subscribe to the contract's cameras and to what its proprioception needs."""
        super().__init__("observer")
        self._graph = declare(self, GraphSettings)
        settings, chosen = declare(self, ObserverSettings), declare(self, RobotSettings)
        refuse_unknown(self)
        self._contract = contract = self._graph.contract()
        robot = chosen.read(contract)
        self._elements = elements_of(
            contract.proprio.names, robot.proprioception, contract.action
        )
        self._cameras = {robot.cameras[spec.name].topic: spec for spec in contract.cameras}
        self._fits = {camera.topic: camera.fit for camera in robot.cameras.values()}
        used = {element.topic for element in self._elements}
        measured = [source for source in robot.proprioception if source.topic in used]
        self._parts = Parts(self._elements, measured)
        self._topics = {topic: [topic] for topic in self._cameras} | {
            source.topic: list(
                dict.fromkeys(e.source for e in self._elements if e.topic == source.topic)
            )
            for source in measured
        }
        self._names = [name for names in self._topics.values() for name in names]
        self._sources = Sources(self._names, self._cameras, settings)
        self._max_age = settings.max_age_s
        self._backlog = Backlog(contract.dt, settings.max_age_s)
        self._collection = Collection()
        self._fault_log = FaultLog(
            self.get_logger(), quiet=math.inf, since=time.monotonic() + START_SECONDS
        )
        self._fault, self._since = "", math.inf  # why nothing is published, and since when
        self._stepped_at = time.monotonic()
        self._rates = {topic: Rate() for topic in self._topics}
        self._published = Rate()
        self._age, self._skew = Spread(), Spread()
        self._publisher = self.create_publisher(Observation, "observation", qos.BARRIER)
        receive = self._collect if self._graph.lockstep else self._keep
        for source in measured:
            self.create_subscription(
                MESSAGES[source.type], source.topic, self._receiver(receive, source.topic),
                qos.sensor(self._graph.lockstep),
            )
        for camera in (robot.cameras[spec.name] for spec in contract.cameras):
            real = qos.RELIABLE_SENSOR if camera.reliability == "reliable" else qos.SENSOR
            self.create_subscription(
                TRANSPORTS[camera.transport], camera.topic, self._receiver(receive, camera.topic),
                qos.BARRIER if self._graph.lockstep else real,
            )
        if self._graph.lockstep:
            self.create_timer(0.5, self._watch)
        else:
            # Only the current step counts: a reliable reader that lost some waits for all of them.
            self.create_subscription(ControlStep, "control_step", self._on_step, qos.SENSOR)
        Diagnostics(self, self._health)

    def _receiver(
        self, receive: Callable[[str, dict[str, Sample]], None], topic: str
    ) -> Callable[[Any], None]:
        def take_apart(message: Any) -> None:
            now, stamp = time.monotonic(), seconds(message.header.stamp)
            self._rates[topic].count(now)
            try:
                parts = self._parts.of(topic, message, stamp, now)
            except ValueError as error:
                if self._graph.lockstep:
                    raise NodeError(str(error)) from error
                code = "joints" if isinstance(message, JointState) else "frame"
                self._sources.reject(Fault(code, topic, str(error)), now)
                return
            if parts:
                receive(topic, {name: Sample(part, stamp, now) for name, part in parts.items()})

        return take_apart

    # ---- Lockstep: all sources of one tick ----------------------------------------------------

    def _collect(self, topic: str, samples: dict[str, Sample]) -> None:
        sample = next(iter(samples.values()))
        tick = round(sample.stamp * self._contract.rate_hz)
        if tick % self._contract.stride:
            return
        if tick > self._collection.tick:
            self._collection = Collection(tick, sample.received)
        if tick < self._collection.tick:
            return
        collected = self._collection.samples
        collected |= samples
        if len(collected) == len(self._names):
            self._collection.sent = True
            fault = self._publish(tick, collected)
            if fault:
                raise NodeError(fault.message)

    def _watch(self) -> None:
        """End the run if one source blocks all others."""
        collection = self._collection
        waited = time.monotonic() - collection.since
        if collection.samples and not collection.sent and waited > self._graph.silence_s:
            missing = [name for name in self._names if name not in collection.samples]
            raise NodeError(
                f"no message of {', '.join(missing)} arrived for tick {collection.tick} within "
                f"{self._graph.silence_s:g} s, but other sources did: start that driver or remap "
                "the topic"
            )

    # ---- Real time: what belongs to one moment ------------------------------------------------

    def _keep(self, topic: str, samples: dict[str, Sample]) -> None:
        position = self._position() if topic in self._cameras else None
        for name, sample in samples.items():
            self._sources.keep(name, sample, position)

    def _position(self) -> Vector | None:
        """Measured position of the tool and of the joints, None until all of it is known."""
        try:
            return np.array([
                element.read(self._sources.newest(element.source))
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
            self._fault_log.counts["queued"] += 1
            return
        for remark in self._sources.remarks(self._contract):
            self.get_logger().warning(remark)
        moment = self._sources.moment(now)
        fault = self._publish(step.tick, moment.samples) if isinstance(moment, Moment) else moment
        if fault:
            self._reject(fault, now)
            return
        self._fault, self._since = "", math.inf
        self._age.add(moment.age)
        self._skew.add(moment.skew)
        for source in self._fault_log.recovered(now):
            self.get_logger().info(f"observations resumed: {source} works again")

    def _reject(self, fault: Fault, now: float) -> None:
        self._fault, self._since = f"no observation: {fault.message}", min(self._since, now)
        # Setting a clock puts its source out of step until each source has sent another message.
        if fault.code in ("latency", "skew") and now - self._since <= self._max_age:
            self._fault_log.counts[fault.code] += 1
        else:
            self._fault_log.report(replace(fault, message=self._fault), now)

    # ---- Both ---------------------------------------------------------------------------------

    def _publish(self, tick: int, samples: Mapping[str, Sample]) -> Fault | None:
        """Publish the observation of a tick; return the fault that prevents it, else None."""
        proprio = []
        for element in self._elements:
            value = element.read(samples[element.source].message)
            if not abs(value) <= LARGEST:
                return Fault(
                    "nonfinite", element.topic,
                    f"{element.name} in {element.topic} is {value} at tick {tick}: check the "
                    "robot's driver",
                )
            proprio.append(value)
        images = []
        for topic, spec in self._cameras.items():
            try:
                images.append(camera_image(samples[topic].message, spec, self._fits[topic]))
            except ValueError as error:
                return Fault("image", topic, f"{topic} at tick {tick}: {error}")
        stamps = {
            topic: min(samples[name].stamp for name in names)
            for topic, names in self._topics.items()
        }
        observation = Observation(
            tick=tick,
            camera_names=[spec.name for spec in self._cameras.values()],
            images=images,
            proprio_names=self._contract.proprio.names,
            proprio=proprio,
            source_names=list(stamps),
            source_stamps=[stamp_of(stamp) for stamp in stamps.values()],
        )
        observation.header.stamp = stamp_of(min(filter(None, stamps.values()), default=0.0))
        self._publisher.publish(observation)
        self._published.count(time.monotonic())
        return None

    def _health(self) -> Health:
        """Rates of the sources and of the observations, and counts of rejections."""
        now, lockstep = time.monotonic(), self._graph.lockstep
        values: dict[str, object] = {}
        for topic, rate in self._rates.items():
            spec = self._cameras.get(topic)
            short = topic if spec is None else spec.name
            values |= rate.summary(short, now)
            for what, by_source in (
                ("age", self._sources.ages(now)), ("latency", self._sources.latencies()),
            ):
                found = [by_source[name] for name in self._topics[topic] if name in by_source]
                values |= {f"{short}_{what}_ms": 1e3 * max(found)} if found else {}
        values |= self._published.summary("observation", now)
        if not lockstep:
            values |= self._age.summary("observation_age_ms", 1e3)
            values |= self._skew.summary("skew_ms", 1e3)
        values["published"] = self._published.total
        values |= {f"rejected_{code}": self._fault_log.counts[code] for code in REJECTIONS}
        if not lockstep and now - self._stepped_at > SILENT_SECONDS:
            silent = "no control_step arrives, so nothing is observed: check chunk_controller"
            return Health(Level.STALE, silent, values)
        return Health(Level.ERROR if self._fault else Level.OK, self._fault or "ok", values)
