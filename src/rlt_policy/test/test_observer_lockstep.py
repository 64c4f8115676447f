"""In lockstep an observation holds everything of its tick, however many messages that takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from observer_drivers import changed_model
from rclpy.executors import SingleThreadedExecutor
from robot_files import SIM
from sensor_msgs.msg import Image, JointState

from rlt_interfaces.msg import Observation
from rlt_node import qos
from rlt_node.conversions import fill_pose_down, image_to_msg, stamp_of_tick
from rlt_policy.observer.observer_node import ObserverNode

PATIENCE_S = 90.0
PROPRIO = {"names": ["x", "elbow", "finger"], "units": ["m", "rad", "m"], "kind": "joints"}
PICTURE = np.zeros((64, 64, 3), np.uint8)


class Robot:
    """Publishes, tick by tick, what an arm, its gripper and two cameras do."""

    def __init__(self, model) -> None:
        rclpy.init(args=["--ros-args", "-p", f"model:={model}", "-p", f"robot:={SIM}"])
        self.observer, self.node = ObserverNode(), rclpy.create_node("robot")
        self.executor = SingleThreadedExecutor()
        for node in (self.observer, self.node):
            self.executor.add_node(node)
        publisher = self.node.create_publisher
        self.poses = publisher(PoseStamped, "tcp_pose", qos.BARRIER)
        self.joints = publisher(JointState, "joint_states", qos.BARRIER)
        self.images = [
            publisher(Image, f"{name}/image_raw", qos.BARRIER) for name in ("wrist", "scene")
        ]
        self.seen: list[Observation] = []
        self.node.create_subscription(Observation, "observation", self.seen.append, qos.BARRIER)

    def publish(self, tick: int, joints: dict[str, list[float]]) -> None:
        stamp = stamp_of_tick(tick, 50.0)
        pose = PoseStamped()
        fill_pose_down(pose, (float(tick), 0.0, 0.1, 0.0))
        pose.header.stamp, pose.header.frame_id = stamp, "base_link"
        self.poses.publish(pose)
        for publisher in self.images:
            publisher.publish(image_to_msg(PICTURE, stamp, "camera"))
        for name, position in joints.items():
            message = JointState(name=[name], position=position)
            message.header.stamp = stamp
            self.joints.publish(message)

    def wait(self, condition, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        for node in (self.observer, self.node):
            node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def robot(tmp_path):
    made = Robot(changed_model(tmp_path, proprio=PROPRIO))
    yield made
    made.close()


def test_joints_of_two_messages_make_one_observation_per_stride_tick(robot):
    for tick in range(7):
        robot.publish(tick, {"elbow": [0.5 * tick], "finger": [0.25 * tick]})
        robot.wait(lambda tick=tick: len(robot.seen) == tick // 2 + 1, f"tick {tick}")
    assert [message.tick for message in robot.seen] == [0, 2, 4, 6]
    for message in robot.seen:
        assert list(message.proprio) == [message.tick, 0.5 * message.tick, 0.25 * message.tick]
        assert {stamp.nanosec for stamp in message.source_stamps} == {20_000_000 * message.tick}


def test_a_malformed_message_ends_the_run(robot):
    robot.publish(2, {"elbow": [0.5, 0.6]})
    robot.wait(lambda: robot.observer.exit_reason is not None, "the end")
    assert "names 1 joints (elbow) and has 2 positions" in str(robot.observer.exit_reason)
    assert robot.seen == []
