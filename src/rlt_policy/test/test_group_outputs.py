"""Several groups are one robot: commands are split, positions joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from robot_files import ROOT, SIM
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.control.rotations import between, from_vector
from rlt_core.records import ControlStep, Source
from rlt_core.robot.limits import AxisLimits
from rlt_core.robot.robot_file import GripperEntry, read_robot
from rlt_node import qos
from rlt_node.conversions import fill_pose, orientation_of_pose, place_of_pose
from rlt_node.node import FailFastNode
from rlt_policy.outputs import OutputSetup
from rlt_policy.outputs.gripper import Gripper
from rlt_policy.outputs.group_outputs import GroupOutputs

PATIENCE = 900  # waits of 0.1 s
DOWN = (1.0, 0.0, 0.0, 0.0)
DYNAMICS = {"velocity": 0.25, "acceleration": 2.0, "max_tracking_error": 0.02}


def robot_of_two_arms(folder: Path):
    """One arm is driven by its tool, the other by its joints."""
    content = yaml.safe_load(SIM.read_text())
    watched = {"elbow": {"min": -2.0, "max": 2.0, "velocity": 3.0}}
    axis = DYNAMICS | {"min": -1.0, "max": 1.0}
    content["action"] = [
        {
            "group": "left", "kind": "tool", "prefix": "left.", "frame": "left_base",
            "increments": "base", "orientation": list(DOWN),
            "joints": {"topic": "left/joint_states", "margin": 0.1, "limits": watched},
            "output": {
                "type": "cartesian_pose", "topic": "left/target_pose", "state": "left/tcp_pose",
            },
            "limits": {
                "translation": DYNAMICS | {"min": [0, -1, 0], "max": [1, 1, 1]},
                "rotation": DYNAMICS | {"cone": 0.5},
            },
        },
        {
            "group": "right", "kind": "joints", "topic": "/right/joint_states",
            "limits": {"lift": axis, "turn": axis},
            "output": {
                "type": "forward_position", "topic": "/right/commands",
                "command_joints": ["turn", "lift"],
            },
        },
    ]
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_robot(path)


class Bench:
    """The outputs on one side, two drivers on the other."""

    def __init__(self, robot) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.executor = EventsExecutor(context=self.context)
        self.node = FailFastNode("chunk_controller", namespace="/rlt", context=self.context)
        self.other = rclpy.create_node("driver", namespace="/rlt", context=self.context)
        for node in (self.node, self.other):
            self.executor.add_node(node)
        self.states, self.poses, self.commands = [], [], []
        self.outputs = GroupOutputs(
            self.node, robot, False, lambda tick, position, fault: self.states.append(
                (position, fault)
            ),
        )
        publisher = self.other.create_publisher
        self._pose = publisher(PoseStamped, "left/tcp_pose", qos.SENSOR)
        self._left = publisher(JointState, "left/joint_states", qos.SENSOR)
        self._right = publisher(JointState, "/right/joint_states", qos.SENSOR)
        self.other.create_subscription(
            PoseStamped, "left/target_pose", self.poses.append, qos.COMMAND
        )
        self.other.create_subscription(
            Float64MultiArray, "/right/commands", self.commands.append, qos.COMMAND
        )
        for each in (self._pose, self._left, self._right, *self.outputs.commands):
            self.wait_for(each.get_subscription_count)

    def wait_for(self, condition) -> None:
        for _ in range(PATIENCE):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.1)
        raise AssertionError("waited in vain")

    def left(self, place=(0.5, 0.0, 0.2), orientation=DOWN, elbow=0.0) -> None:
        """What the left arm's driver publishes for one sample."""
        pose = PoseStamped()
        pose.header.frame_id = "left_base"
        fill_pose(pose, place, orientation)
        self._pose.publish(pose)
        self._left.publish(JointState(name=["elbow"], position=[elbow]))

    def right(self, lift=0.1, turn=0.2) -> None:
        """What the right arm's driver publishes for one sample."""
        self._right.publish(JointState(name=["turn", "lift"], position=[turn, lift]))

    def settle(self) -> None:
        """Let what was published arrive."""
        for _ in range(10):
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.node.destroy_node()
        self.other.destroy_node()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bench(tmp_path):
    made = Bench(robot_of_two_arms(tmp_path))
    yield made
    made.close()


def test_the_robot_has_a_position_once_every_group_has_one(bench):
    bench.left(orientation=from_vector([np.pi, 0.0, 0.0]))
    bench.settle()
    assert not bench.states, "the right arm is not known yet"
    assert bench.outputs.heard["/right/joint_states"] == -np.inf
    bench.right()
    bench.wait_for(lambda: bench.states)
    position, fault = bench.states[0]
    np.testing.assert_allclose(position, [0.5, 0.0, 0.2, 0.0, 0.0, 0.0, 0.1, 0.2], atol=1e-9)
    assert not fault
    bench.right(lift=0.3)
    bench.settle()
    assert len(bench.states) == 1, "the left arm is older than the last position"
    bench.left()
    bench.wait_for(lambda: len(bench.states) == 2)
    assert bench.states[1][0][6] == 0.3


def test_a_fault_of_one_group_is_reported_at_once(bench):
    bench.left()
    bench.right()
    bench.wait_for(lambda: bench.states)
    bench.left(elbow=1.95)
    bench.wait_for(lambda: len(bench.states) == 2)
    assert "joint elbow in left/joint_states is at 1.950 rad" in bench.states[1][1]


def test_a_command_goes_to_each_group(bench):
    setpoint = np.array([0.6, 0.1, 0.2, 0.0, 0.3, 0.0, 0.4, -0.5])
    bench.outputs.send(ControlStep(1, 1, np.zeros(8, np.float32), setpoint, Source.ACTOR))
    bench.wait_for(lambda: bench.poses and bench.commands)
    pose = bench.poses[0]
    assert pose.header.frame_id == "left_base"
    np.testing.assert_allclose(place_of_pose(pose), setpoint[:3])
    np.testing.assert_allclose(
        between(DOWN, orientation_of_pose(pose)), [0.0, 0.3, 0.0], atol=1e-9
    )
    assert list(bench.commands[0].data) == [-0.5, 0.4]


def make_gripper(node, seen, **options):
    limits = AxisLimits(
        min=0.0, max=1.0, velocity=2.0, acceleration=20.0, max_tracking_error=1.0
    )
    output = {
        "type": "gripper", "topic": "gripper", "state": "/right/joint_states", "joint": "lift",
        "closed": 0.8, "open": 0.0,
    }
    entry = GripperEntry(group="gripper", kind="gripper", limits=limits, output=output | options)
    return Gripper(OutputSetup(
        node, entry, 50.0, False, lambda tick, position, fault: seen.append((position, fault))
    ))


def test_a_grippers_opening_is_a_position_of_its_joint(bench):
    openings, sent = (0.25, 0.75), (0.6, 0.2)
    seen, heard = [], []
    gripper = make_gripper(bench.node, seen)
    bench.other.create_subscription(Float64MultiArray, "gripper", heard.append, qos.DEVICE)
    bench.wait_for(gripper._publisher.get_subscription_count)
    bench.right(lift=0.6)
    bench.wait_for(lambda: seen)
    np.testing.assert_allclose(seen[0][0], [0.25])
    for count, opening in enumerate(openings, 1):
        step = ControlStep(1, 1, np.zeros(1, np.float32), np.array([opening]), Source.ACTOR)
        gripper.send(step)
        bench.wait_for(lambda count=count: len(heard) == count)
    np.testing.assert_allclose([message.data[0] for message in heard], sent)


def test_a_gripper_without_a_range_is_refused(bench):
    with pytest.raises(ValueError, match="closed and open at different positions"):
        make_gripper(bench.node, [], open=0.8)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config" / "robots").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_robot_of_ours_can_be_connected(bench, path):
    robot = read_robot(path)
    MotionLimiter(robot.space, 1 / robot.rate_hz, robot.limits)
    outputs = GroupOutputs(bench.node, robot, False, lambda tick, position, fault: None)
    assert len(outputs.commands) == len(robot.action)
    assert (SIM == path) == (robot.robot == "sim")


def test_two_groups_on_one_command_topic_are_refused(bench, tmp_path):
    robot = robot_of_two_arms(tmp_path)
    twice = robot.model_copy(update={"action": (robot.action[1], robot.action[1].model_copy(
        update={"group": "again", "limits": {
            f"{name}_2": axis for name, axis in robot.action[1].limits.items()
        }, "output": robot.action[1].output.model_copy(
            update={"command_joints": ["turn_2", "lift_2"]}
        )},
    ))})
    with pytest.raises(ValueError, match="two groups are driven on the topic /right/commands"):
        GroupOutputs(bench.node, twice, False, lambda tick, position, fault: None)
