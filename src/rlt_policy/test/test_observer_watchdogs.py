"""The observer in real time with real publishers: what it rejects, logs, and accepts again."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.experimental import EventsExecutor
from robot_files import SIM
from sensor_msgs.msg import Image

from rlt_interfaces.msg import ControlStep, Observation
from rlt_node import qos
from rlt_node.conversions import fill_pose_down, image_to_msg, stamp_of_tick
from rlt_node.diagnostics import Level
from rlt_policy.observer import observer_node

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
PATIENCE_S = 90.0
LATE_CAMERA_TICKS = 15  # 0.3 s


class Robot:
    """Publishes what drivers and controller do, at their rate; broken as the test says."""

    def __init__(self) -> None:
        rclpy.init(args=[
            "--ros-args", "-p", f"model:={MODEL}", "-p", f"robot:={SIM}", "-p", "mode:=real_time",
        ])
        self.observer = observer_node.ObserverNode()
        self.driver = rclpy.create_node("driver", use_global_arguments=False)
        self.executor = EventsExecutor()
        for node in (self.observer, self.driver):
            self.executor.add_node(node)
        self.poses = self.driver.create_publisher(PoseStamped, "tcp_pose", qos.SENSOR)
        self.wrenches = self.driver.create_publisher(WrenchStamped, "tcp_wrench", qos.SENSOR)
        self.images = {
            name: self.driver.create_publisher(Image, f"{name}/image_raw", qos.SENSOR)
            for name in ("wrist", "scene")
        }
        self.steps = self.driver.create_publisher(ControlStep, "control_step", qos.LOG)
        self.seen: list[Observation] = []
        self.driver.create_subscription(
            Observation, "observation", self.seen.append, qos.BARRIER
        )
        self.tick, self.place, self.picture = 0, 0.0, 0
        self.moving = True
        self.frozen = self.unplugged = self.late = self.torn = ""  # names of cameras
        self.force, self.wrench_frame = 0.0, "base_link"
        self.due = time.monotonic()

    def publish(self) -> None:
        """Everything of one tick."""
        self.tick += 1
        self.place += 0.0005 if self.moving else 0.0
        stamp = stamp_of_tick(self.tick, 50.0)
        pose, wrench = PoseStamped(), WrenchStamped()
        fill_pose_down(pose, (self.place, 0.0, 0.1, 0.0))
        wrench.wrench.force.x = self.force
        pose.header.stamp = wrench.header.stamp = stamp
        pose.header.frame_id, wrench.header.frame_id = "base_link", self.wrench_frame
        self.poses.publish(pose)
        self.wrenches.publish(wrench)
        if self.tick % 2 == 0:
            self.picture += 1
            for name in set(self.images) - {self.unplugged}:
                self.images[name].publish(self.image_of(name))
        self.steps.publish(ControlStep(tick=self.tick))

    def image_of(self, name: str) -> Image:
        picture = np.zeros((64, 64, 3), np.uint8)
        if name != self.frozen:
            picture[0, 0, :2] = divmod(self.picture, 256)
        taken = self.tick - (LATE_CAMERA_TICKS if name == self.late else 0)
        message = image_to_msg(picture, stamp_of_tick(taken, 50.0), name)
        if name == self.torn:
            message.data = message.data[:-1]
        return message

    def run_until(self, condition, what: str) -> None:
        """Go on, 50 ticks a second, until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.health()}"
            self.publish()
            self.due = max(self.due + 0.02, time.monotonic())
            while (left := self.due - time.monotonic()) > 0:
                self.executor.spin_once(timeout_sec=left)
        assert self.observer.exit_reason is None

    def health(self):
        return self.observer._health()

    def expect_more(self, count: int = 5) -> None:
        """Wait until observations arrive."""
        goal = len(self.seen) + count
        self.run_until(lambda: len(self.seen) >= goal, "observations")

    def expect_refusals(self, code: str, count: int = 5) -> None:
        """Observations of stride ticks are refused for this reason."""
        counts = self.observer._fault_log.counts
        goal = counts[code] + count
        self.run_until(lambda: counts[code] >= goal, f"{count} refusals by {code}")

    def close(self) -> None:
        for node in (self.observer, self.driver):
            node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def robot(monkeypatch):
    monkeypatch.setattr(observer_node, "START_SECONDS", 0.0)
    made = Robot()
    observers = (made.steps, made.poses, made.wrenches, *made.images.values())
    deadline = time.monotonic() + PATIENCE_S
    while not all(publisher.get_subscription_count() for publisher in observers):
        assert time.monotonic() < deadline, "the observer was not discovered"
        made.executor.spin_once(timeout_sec=0.05)
    yield made
    made.close()


def errors(printed: str, name: str) -> list[str]:
    return [line for line in printed.splitlines() if "[ERROR]" in line and name in line]


@pytest.mark.parametrize(
    ("code", "broken", "named"),
    [
        ("frozen", {"frozen": "wrist"}, "on wrist/image_raw are identical"),
        ("age", {"unplugged": "scene"}, "scene/image_raw is"),
        ("latency", {"late": "wrist"}, "wrist/image_raw is 0.3"),
        ("image", {"torn": "scene"}, "scene/image_raw at tick"),
        ("nonfinite", {"force": float("nan")}, "fx in tcp_wrench is nan"),
        ("frame", {"wrench_frame": "tool0"}, "tcp_wrench is in the frame 'tool0', the contract is"),
    ],
)
def test_a_broken_source_is_refused_said_once_and_taken_again(robot, capfd, code, broken, named):
    robot.expect_more()
    assert robot.health().level == Level.OK
    capfd.readouterr()
    well = {name: getattr(robot, name) for name in broken}
    for name, value in broken.items():
        setattr(robot, name, value)
    robot.expect_refusals(code, 20)
    health = robot.health()
    assert health.level == Level.ERROR and named in health.message
    assert health.values[f"rejected_{code}"] >= 20
    count, last = len(robot.seen), robot.seen[-1].tick
    robot.expect_refusals(code)
    assert len(robot.seen) == count
    for name, value in well.items():
        setattr(robot, name, value)
    robot.expect_more(32)  # more than a second, so that the fault is over
    printed = capfd.readouterr().err
    assert len(errors(printed, named)) == 1, printed
    assert "observations resumed" in printed
    assert robot.seen[count].tick > last
    assert all(np.isfinite(observation.proprio).all() for observation in robot.seen)


def test_a_still_scene_before_a_still_robot_is_no_fault(robot):
    robot.moving, robot.frozen = False, "wrist"
    robot.expect_more(40)
    assert robot.observer._fault_log.counts["frozen"] == 0
    robot.moving = True
    robot.expect_refusals("frozen")


def test_steps_that_queued_up_make_no_observation(robot):
    robot.expect_more()
    robot.run_until(lambda: robot.seen[-1].tick >= robot.tick - 2, "the last observation")
    count, first = len(robot.seen), robot.tick
    time.sleep(0.3)  # nothing is received meanwhile, as if this process had been stopped
    for _ in range(100):
        robot.publish()
    robot.due = time.monotonic()
    robot.expect_more(10)
    queued = [message.tick for message in robot.seen[count:] if message.tick <= first + 100]
    assert queued == []
    assert robot.health().values["rejected_queued"] > 0


def test_what_is_reported(robot):
    robot.expect_more(60)  # 2.4 s
    values = robot.health().values
    assert values["published"] >= 60
    for key in ("wrist_hz", "scene_hz", "observation_hz"):
        assert 5.0 < values[key] <= 26.0 and values[f"{key}_worst_second"] <= values[key]
    assert 10.0 < values["tcp_pose_hz"] <= 51.0
    assert 0.0 <= values["observation_age_ms_p50"] <= values["observation_age_ms_max"] <= 100.0
    assert 0.0 <= values["skew_ms_p50"] <= values["skew_ms_max"] <= 50.0
    assert 0.0 <= values["wrist_latency_ms"] <= 100.0
    assert values["wrist_age_ms"] >= 0.0
