"""A robot driver that logs every set-point it is sent: the oracle of all faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, WrenchStamped
from numpy.typing import NDArray
from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from steady import urgent

from rlt_core.contract import Contract
from rlt_core.control.angles import near
from rlt_interfaces.action import Reset
from rlt_node import qos
from rlt_node.conversions import axes_of_pose, doubles, fill_pose_down, image_to_msg, seconds

HOME = (0.5, 0.0, 0.06, 0.0)
JOINTS = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]
COMMAND_TIMEOUT_S = 0.1
IMAGE_EVERY = 2  # ticks
EVERYTHING = QoSProfile(depth=1000)  # no set-point is overwritten before it is logged

Tampering = Callable[[Any], Any]


@dataclass(frozen=True)
class Sent:
    """One set-point: when it was received (monotonic) and stamped, s, and float64 (4,) in SI."""

    at: float
    stamp: float
    setpoint: NDArray[np.float64]


class LoggingArm:
    """Follows `target_pose` 50 times a second and publishes what a robot driver publishes.

    It stops by itself 100 ms after the last set-point. What it publishes on a topic passes
    through `tampering[topic]`, which may change a message, or drop it by returning None.

    Attributes:
        log: Every set-point received.
        path: Where the arm was at every tick: (monotonic seconds, float64 (4,)).
        resets: How often it was reset.
        tampering: Topic -> fault.
        stuck: Whether it receives set-points and stands still, as with its brakes on.
        paused: Whether the complete robot, with its clock, stands still and publishes nothing.
        clock_offset: Added to the wall clock in stamps, s.
        image_every: Ticks between two images of a camera.
        worst_lateness: Longest delay of one of its own ticks so far, s: beyond a few
            tens of milliseconds the machine was stalled, and nothing can be judged.
    """

    def __init__(self, node: Node, contract: Contract, clock: bool = False) -> None:
        self.log: list[Sent] = []
        self.path: list[tuple[float, NDArray[np.float64]]] = []
        self.resets = 0
        self.tampering: dict[str, Tampering] = {}
        self.paused = self.stuck = False
        self.clock_offset = 0.0
        self.image_every = IMAGE_EVERY
        self.worst_lateness = 0.0
        self._period = contract.dt
        self._position = np.array(HOME)
        self._setpoint: NDArray[np.float64] | None = None
        self._heard = -np.inf
        self._rng = np.random.default_rng(0)
        self._images = {
            f"{camera.name}/image_raw": self._rng.integers(
                0, 255, (camera.height, camera.width, 3), np.uint8
            )
            for camera in contract.cameras
        }
        self._publishers = {
            topic: node.create_publisher(kind, topic, qos.SENSOR)
            for topic, kind in (
                ("tcp_pose", PoseStamped),
                ("tcp_wrench", WrenchStamped),
                ("joint_states", JointState),
                *((topic, Image) for topic in self._images),
            )
        }
        if clock:
            self._publishers["clock"] = node.create_publisher(Clock, "/clock", qos.SENSOR)
        self._node = node
        self._ear: Any = None
        self.hear()
        self._reset = ActionServer(node, Reset, "reset", self._on_reset)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arm", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop publishing."""
        self._closing.set()
        self._thread.join(1.0)
        self._reset.destroy()

    def hear(self) -> None:
        """Subscribe to the set-points."""
        self._ear = self._node.create_subscription(
            PoseStamped, "target_pose", self._on_target, EVERYTHING
        )

    def deafen(self) -> None:
        """Unsubscribe from the set-points; everything else continues."""
        self._node.destroy_subscription(self._ear)

    def place(self, *axes: float) -> None:
        """Put the arm somewhere: x, y, z in m, yaw in rad."""
        self._setpoint = None
        self._position = np.array(axes)

    def _on_target(self, message: PoseStamped) -> None:
        self._heard = time.monotonic()
        target = axes_of_pose(message)
        target[3] = near(target[3], self._position[3])  # a pose does not carry full turns
        self._setpoint = target
        self.log.append(Sent(self._heard, seconds(message.header.stamp), self._setpoint))

    def _on_reset(self, goal: ServerGoalHandle) -> Reset.Result:
        self.place(*HOME)
        self.resets += 1
        goal.succeed()
        return Reset.Result(error_code=Reset.Goal.NONE, start_tick=0)

    def _run(self) -> None:
        urgent()
        tick, due = 0, time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self.worst_lateness = max(self.worst_lateness, now - due)
            if not self.paused:
                self._tick(tick, now)
            tick += 1
            due = max(due + self._period, time.monotonic())

    def _tick(self, tick: int, now: float) -> None:
        setpoint = self._setpoint
        if not self.stuck and setpoint is not None and now - self._heard < COMMAND_TIMEOUT_S:
            self._position = setpoint
        self.path.append((now, self._position))
        self._publish(tick)

    def _publish(self, tick: int) -> None:
        whole, fraction = divmod(time.time() + self.clock_offset, 1.0)
        stamp = Time(sec=int(whole), nanosec=int(1e9 * fraction))
        pose, wrench = PoseStamped(), WrenchStamped()
        pose.header.stamp = wrench.header.stamp = stamp
        pose.header.frame_id = wrench.header.frame_id = "base_link"
        fill_pose_down(pose, self._position)
        joints = JointState(name=JOINTS, position=doubles(np.zeros(len(JOINTS))))
        joints.header.stamp = stamp
        if "clock" in self._publishers:
            self._send("clock", Clock(clock=stamp))
        self._send("tcp_pose", pose)
        self._send("tcp_wrench", wrench)
        self._send("joint_states", joints)
        if tick % self.image_every == 0:
            for topic, image in self._images.items():
                # The noise of a camera: no two frames are identical.
                image[tick % len(image)] = self._rng.integers(0, 255, image.shape[1:], np.uint8)
                self._send(topic, image_to_msg(image, stamp, topic.partition("/")[0]))

    def _send(self, topic: str, message: Any) -> None:
        tampered = self.tampering.get(topic, _untouched)(message)
        if tampered is not None:
            self._publishers[topic].publish(tampered)


def _untouched(message: Any) -> Any:
    return message


def silence(message: Any) -> None:
    """Tampering: the source publishes nothing more."""
