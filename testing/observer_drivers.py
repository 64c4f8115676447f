"""Drivers at their own rates around a real observer: cameras, robot state, joints, ticks."""

from __future__ import annotations

import heapq
import json
import os
import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from camera_pictures import encoded, quadrants
from faults.arm import urgent
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.experimental import EventsExecutor
from robot_files import SIM
from sensor_msgs.msg import Image, JointState

from rlt_interfaces.msg import ControlStep, Observation
from rlt_node import qos
from rlt_node.conversions import fill_pose_down, stamp_of
from rlt_policy.observer import observer_node

MODEL = Path(__file__).resolve().parents[1] / "models" / "ethernet"
PATIENCE_S = 120.0
TICK_S, STATE_S = 0.02, 0.01
PUNCTUAL_S = 0.015  # a test's driver that was later than this proves nothing about the observer
MEMORY_S = 0.3  # how long a late driver's message still matters
PICTURES = 100  # of a camera, more than an observation can be behind


def changed_model(folder: Path, **changes: Any) -> Path:
    """Make a model folder whose contract differs; the observer reads only the contract."""
    contract = json.loads((MODEL / "contract.json").read_text()) | changes
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder


@dataclass(frozen=True)
class Camera:
    """How often a camera takes an image, how late it is sent, and what its clock adds, s.

    Without a clock it sets no stamps. `padding` is in bytes per row.
    """

    period: float
    latency: float = 0.0
    clock: float | None = 0.0
    encoding: str = "rgb8"
    padding: int = 0


@dataclass
class Joints:
    """A driver of some joints, whose positions are the time, s.

    Attributes:
        names: The joints; the messages name them in turns from the front and from the back.
        period: How often it measures, s.
        has_velocity: Whether it reports their velocity, 1 per second.
        silent: Whether it publishes nothing.
        lost: How many positions its messages lack.
    """

    names: list[str]
    period: float
    has_velocity: bool = False
    silent: bool = False
    lost: int = 0


class Drivers:
    """A robot's state at 100 Hz, cameras and joints at their own rates, and the controller's ticks.

    Everything moves at 1 m/s or 1 rad/s, so that each position gives its time of measurement.

    Args:
        model: Folder of the contract.
        cameras: By name.
        joints: Drivers that publish on joint_states.
    """

    def __init__(
        self, model: Path, cameras: dict[str, Camera], joints: Iterable[Joints] = ()
    ) -> None:
        rclpy.init(args=[
            "--ros-args", "-p", f"model:={model}", "-p", f"robot:={SIM}", "-p", "mode:=real_time",
        ])
        self.observer = observer_node.ObserverNode()
        self.driver = rclpy.create_node("driver", use_global_arguments=False)
        self.executor = EventsExecutor()
        for node in (self.observer, self.driver):
            self.executor.add_node(node)
        publisher = self.driver.create_publisher
        self.poses = publisher(PoseStamped, "tcp_pose", qos.SENSOR)
        self.wrenches = publisher(WrenchStamped, "tcp_wrench", qos.SENSOR)
        self.images = {name: publisher(Image, f"{name}/image_raw", qos.SENSOR) for name in cameras}
        self.pictures = {name: deque(maxlen=PICTURES) for name in cameras}  # last ones taken
        self.joints = publisher(JointState, "joint_states", qos.SENSOR)
        self.steps = publisher(ControlStep, "control_step", qos.LOG)
        self.seen: dict[int, Observation] = {}
        self.driver.create_subscription(Observation, "observation", self._see, qos.BARRIER)
        urgent()  # as drivers are; so is the observer, which runs in this thread too
        self.began = time.monotonic()
        self.epoch = 1000.0 + self.began  # of the drivers' clocks, s
        self.sent: dict[int, float] = {}  # when each control step was sent
        self.late: list[float] = []  # when a driver was
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self._every(STATE_S, 0.0, self._send_state)
        self._every(TICK_S, 0.003, self._send_step)
        for number, (name, camera) in enumerate(cameras.items()):
            self._every(camera.period, camera.latency, self._camera(name, camera, number))
        for driver in joints:
            self._every(driver.period, 0.0, self._joint_driver(driver))

    def _see(self, message: Observation) -> None:
        self.seen[message.tick] = message

    def _every(self, period: float, late: float, send: Callable[[float], None]) -> None:
        """Call with the time of each event, `late` after it."""
        number = len(self.events)

        def again(due: float) -> None:
            send(due - late)
            later = max(due + period, time.monotonic())  # missed events are not caught up
            heapq.heappush(self.events, (later, number, again))

        heapq.heappush(self.events, (self.began + late, number, again))

    def stamp(self, at: float) -> float:
        """What the drivers' clocks show at a moment, s."""
        return self.epoch + at - self.began

    def _send_state(self, at: float) -> None:
        pose, wrench = PoseStamped(), WrenchStamped()
        pose.header.stamp = wrench.header.stamp = stamp_of(self.stamp(at))
        pose.header.frame_id = wrench.header.frame_id = "base_link"
        fill_pose_down(pose, (at - self.began, 0.0, 0.1, 0.0))
        self.poses.publish(pose)
        self.wrenches.publish(wrench)

    def _send_step(self, at: float) -> None:
        tick = len(self.sent)
        self.sent[tick] = time.monotonic()
        self.steps.publish(ControlStep(tick=tick))

    def _camera(self, name: str, camera: Camera, seed: int) -> Callable[[float], None]:
        noise = np.random.default_rng(seed)

        def send(at: float) -> None:
            picture = quadrants(noise)
            self.pictures[name].append(picture)
            message = encoded(picture, camera.encoding, camera.padding)
            stamp = 0.0 if camera.clock is None else self.stamp(at) + camera.clock
            message.header.stamp, message.header.frame_id = stamp_of(stamp), name
            self.images[name].publish(message)

        return send

    def _joint_driver(self, driver: Joints) -> Callable[[float], None]:
        def send(at: float) -> None:
            driver.names.reverse()
            count = len(driver.names)
            message = JointState(
                name=driver.names, position=[at - self.began] * (count - driver.lost),
                velocity=[1.0] * count * driver.has_velocity,
            )
            message.header.stamp = stamp_of(self.stamp(at))
            if not driver.silent:
                self.joints.publish(message)

        return send

    def run_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            due, _, send = heapq.heappop(self.events)
            while (left := due - time.monotonic()) > 0:
                self.executor.spin_once(timeout_sec=left)
            now = time.monotonic()
            assert now < deadline, f"timed out waiting for {what}: {self.observer._health()}"
            if now - due > PUNCTUAL_S:
                self.late.append(now)
            send(due)
        assert self.observer.exit_reason is None

    def judged(self, stride: int) -> list[bool]:
        """Of every due observation that no late driver affected: whether it was published."""
        late = [self.began, *self.late, time.monotonic()]  # nor the start and what is under way
        return [
            tick in self.seen for tick, at in self.sent.items()
            if tick % stride == 0 and late[bisect(late, at - MEMORY_S)] > at + MEMORY_S
        ]

    def close(self) -> None:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        for node in (self.observer, self.driver):
            node.destroy_node()
        rclpy.shutdown()
