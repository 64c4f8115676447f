"""Every robot output against a driver that takes its messages, and what stops the robot in silence.

A killed controller is an output that stops sending: the tests do that.
"""

from __future__ import annotations

import dataclasses
import re
import time
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import rclpy
from axis_columns import AxisColumns
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_controller import Trajectory, TrajectoryController, TrajectoryPoint
from trajectory_msgs.msg import JointTrajectory

from rlt_core.action_space import TOOL_YAW_AXES, ActionSpace
from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.records import ControlStep, Source
from rlt_core.robot.robot_file import GripperEntry, JointsEntry, ToolYawEntry
from rlt_node import qos
from rlt_node.conversions import (
    NANOSECONDS,
    axes_of_pose,
    fill_pose_down,
    seconds,
    stamp_of,
    stamp_of_tick,
)
from rlt_node.node import FailFastNode
from rlt_policy.outputs import GROUP, OutputSetup, load_output
from rlt_policy.outputs.cartesian_pose import CartesianPoseOptions
from rlt_policy.outputs.forward_position import ForwardPositionOptions
from rlt_policy.outputs.gripper import GripperOptions
from rlt_policy.outputs.joint_trajectory import JointTrajectoryOptions
from rlt_policy.outputs.twist import TwistOptions

DT = 0.02
PATIENCE_S = 90.0
EVERYTHING = QoSProfile(depth=100)
TIMEOUT_S = 0.1
LAG_S = 0.03
JOINTS = ("lift", "turn")
TOOL = TOOL_YAW_AXES
README = Path(__file__).resolve().parents[1] / "README.md"


def make_columns(axes):
    return AxisColumns(
        [-1.0] * axes, [1.0] * axes, [0.5] * axes, [10.0] * axes, [0.5] * axes
    )


def make_entry(kind, output, columns=None, **options):
    """A group as a robot's file describes it."""
    axes = TOOL if kind is ToolYawEntry else JOINTS
    common = {
        "group": "arm", "output": {"type": output, **options},
        "limits": (columns or make_columns(len(axes))).by_axis(axes),
    }
    if kind is JointsEntry:
        return JointsEntry(kind="joints", topic="joint_states", **common)
    if kind is GripperEntry:
        return GripperEntry(kind="gripper", **common | {
            "limits": make_columns(1).by_axis(("a",))["a"].model_copy(update={"min": 0.0}),
        })
    watched = {name: {"min": -3.0, "max": 3.0, "velocity": 3.0} for name in JOINTS}
    return ToolYawEntry(
        kind="tool_yaw", frame="base_link", tilt_max=0.2,
        joints={"topic": "joint_states", "margin": 0.1, "limits": watched}, **common,
    )


def kind_of(output):
    return JointsEntry if output in ("joint_trajectory", "forward_position") else ToolYawEntry


def speeds(message):
    linear, turn = message.twist.linear, message.twist.angular.z
    return np.array([linear.x, linear.y, linear.z, turn])


def trajectory_of(message):
    points = [
        TrajectoryPoint(
            point.time_from_start.nanosec / NANOSECONDS, np.array(point.positions),
            np.array(point.velocities),
        )
        for point in message.points
    ]
    return Trajectory(seconds(message.header.stamp), points)


class Driver:
    """A robot driver of each kind of interface, integrated to now whenever it is asked.

    Trajectories are followed as by a real controller with a servo that lags.

    Attributes:
        position: Where the robot is.
        clock_ahead: How far the driver's clock is ahead of the node's, s.
        commands: What the servo of the trajectory controller was told, cycle by cycle.
        log: Every message received.
        timeout: Silence after which twists are no longer followed, s.
    """

    def __init__(self, node, axes):
        self.position = np.zeros(axes)
        self.log = []
        self.timeout = TIMEOUT_S
        self.heard = -np.inf
        self.clock_ahead = 0.0
        self.commands = []
        self._controller = None
        self._at = time.monotonic()
        self._node = node
        self._poses = node.create_publisher(PoseStamped, "tcp_pose", qos.SENSOR)
        self._joints = node.create_publisher(JointState, "joint_states", qos.SENSOR)
        for kind, topic in (
            (JointTrajectory, "joint_trajectory"), (Float64MultiArray, "position_commands"),
            (TwistStamped, "twist"), (PoseStamped, "target_pose"),
        ):
            node.create_subscription(kind, topic, self._take, EVERYTHING)
        node.create_timer(DT, self._publish)

    def target(self):
        """What the last message asks for."""
        message = self.log[-1] if self.log else None
        if isinstance(message, JointTrajectory):
            return np.array(message.points[-1].positions)
        if isinstance(message, Float64MultiArray):
            return np.array(message.data)
        if isinstance(message, PoseStamped):
            return axes_of_pose(message)
        return np.full(4, np.nan) if message is None else speeds(message)

    def _take(self, message):
        self.move()
        self.log.append(message)
        self.heard = time.monotonic()
        if isinstance(message, JointTrajectory):
            if self._controller is None:
                self._controller = TrajectoryController(self.position, LAG_S)
            self._controller.take(trajectory_of(message), self._now())

    def move(self):
        """Bring the position up to now."""
        now, message = time.monotonic(), self.log[-1] if self.log else None
        if isinstance(message, JointTrajectory):
            self._follow(now)
            return
        if isinstance(message, Float64MultiArray):
            self.position = np.array(message.data)[[1, 0]]  # its configuration has turn, lift
        elif isinstance(message, PoseStamped):
            self.position = axes_of_pose(message)
        elif isinstance(message, TwistStamped):
            until = min(now, self.heard + self.timeout)
            self.position = self.position + speeds(message) * max(0.0, until - self._at)
        self._at = now

    def _follow(self, now):
        """Run the cycles of the trajectory controller that are due."""
        offset = self._now() - time.monotonic()
        while self._at + self._controller.period <= now:
            self._at += self._controller.period
            self._controller.update(self._at + offset)
            self.commands.append(self._controller.command)
        self.position = self._controller.position

    def _now(self):
        """The time on the driver's clock, s."""
        return self._node.get_clock().now().nanoseconds / NANOSECONDS + self.clock_ahead

    def _publish(self):
        self.move()
        stamp = stamp_of(self._now())
        joints = JointState(name=["turn", "gripper", "lift"])
        joints.header.stamp = stamp
        joints.position = [float(self.position[1]), 9.0, float(self.position[0])]
        if len(self.position) == len(TOOL):
            joints.position = [0.0, 9.0, 0.0]
            pose = PoseStamped()
            pose.header.stamp, pose.header.frame_id = stamp, "base_link"
            fill_pose_down(pose, self.position)
            self._poses.publish(pose)
        self._joints.publish(joints)


class Bench:
    """A node with a robot output on one side, a driver on the other."""

    def __init__(self, output, limits=None, unit="rad", **options):
        kind = kind_of(output)
        axes = JOINTS if kind is JointsEntry else TOOL
        columns = dataclasses.replace(make_columns(len(axes)), **(limits or {}))
        entry = make_entry(kind, output, columns, **options)
        if unit != "rad":
            entry = entry.model_copy(update={"unit": unit})
        self.context = Context()
        rclpy.init(context=self.context)
        self.executor = EventsExecutor(context=self.context)
        self.node = FailFastNode("chunk_controller", namespace="/rlt", context=self.context)
        self.other = rclpy.create_node("driver", namespace="/rlt", context=self.context)
        self.states = []
        self.tick = 0
        try:
            self.output = load_output(output)(
                OutputSetup(self.node, entry, 1 / DT, False, self._on_position)
            )
        except ValueError:
            self.close()
            raise
        self.driver = Driver(self.other, len(axes))
        space = ActionSpace((entry.action,))
        self.limiter = MotionLimiter(space, DT, columns.limits(space))
        self.executor.add_node(self.node)
        self.executor.add_node(self.other)

    def close(self):
        self.node.destroy_node()
        self.other.destroy_node()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)

    def _on_position(self, tick, position, fault):
        self.states.append((position, fault))

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self.executor.spin_once(timeout_sec=left)

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            reason = self.node.exit_reason
            assert reason is None, f"{reason} while it waited for {what}"
            self.executor.spin_once(timeout_sec=0.1)

    def connect(self):
        """Wait until both sides receive from each other and the first state has arrived."""
        self.wait_for(lambda: self.states, "the first state")
        self.wait_for(lambda: self.output._publisher.get_subscription_count(), "the driver")
        self.limiter.start(self.states[-1][0])

    def drive(self, ticks, increment):
        """Send limited set-points at the control rate; return the last."""
        for _ in range(ticks):
            sent = self.limiter.limit(np.array(increment), self.states[-1][0])
            self.output.send(
                ControlStep(
                    1, self.tick, sent.increment.astype(np.float32), sent.setpoint, Source.ACTOR
                )
            )
            self.tick += 1
            self.spin(DT)
        return sent.setpoint

    def wait_for_target(self, target):
        self.wait_for(
            lambda: np.allclose(self.driver.target(), target, rtol=1e-5, atol=1e-9), "the last one"
        )

    def standing(self):
        """Position of the robot, which must no longer move."""
        self.driver.move()
        place = self.driver.position.copy()
        self.spin(0.2)
        np.testing.assert_allclose(self.driver.position, place, atol=1e-12)
        return place


@pytest.fixture
def make_bench():
    made = []

    def make(*arguments, **parameters):
        made.append(Bench(*arguments, **parameters))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.mark.parametrize("ahead", [0.0, 1000.0, -1000.0])
def test_joint_trajectories_move_a_lagging_arm_forward_and_end_at_rest(make_bench, ahead):
    bench = make_bench("joint_trajectory")
    bench.driver.clock_ahead = ahead
    bench.connect()
    setpoint = bench.drive(20, (0.005, -0.008))
    end = time.time() + ahead + 0.1
    bench.wait_for_target(bench.output._plan._points[-1].position)
    for message in bench.driver.log:
        assert message.joint_names == list(JOINTS)
        assert len(message.points[0].positions) == len(message.points[0].velocities) == 2
        assert not np.any(message.points[-1].velocities)
    assert seconds(message.header.stamp) + message.points[-1].time_from_start.nanosec * 1e-9 <= end
    bench.spin(1.0)
    moved = np.diff(bench.driver.commands, axis=0) * (1.0, -1.0)
    assert (moved >= -1e-6).all(), "the command went backwards"
    np.testing.assert_allclose(bench.standing(), message.points[-1].positions, atol=1e-9)
    assert (np.abs(bench.driver.position - setpoint) < 0.04).all()  # 31 mrad at 0.5 rad/s


def test_forward_positions_are_in_the_drivers_order_and_stay(make_bench):
    bench = make_bench("forward_position", command_joints=["turn", "lift"])
    bench.connect()
    setpoint = bench.drive(10, (0.005, -0.008))
    bench.wait_for_target(setpoint[::-1])
    np.testing.assert_allclose(bench.standing(), setpoint)


PROVED = {"driver_stop_timeout_s": TIMEOUT_S, "proof_twist": [0.01, 0.0, 0.0, 0.0]}


def test_a_driver_in_degrees_is_read_and_commanded_in_degrees(make_bench):
    bench = make_bench("forward_position", command_joints=["turn", "lift"], unit="deg")
    Hand(bench).joints(["lift", "turn"], [90.0, -45.0])
    np.testing.assert_allclose(bench.states[-1][0], [np.pi / 2, -np.pi / 4])
    step = ControlStep(1, 1, np.zeros(2, np.float32), np.radians([30.0, 10.0]), Source.ACTOR)
    bench.wait_for(bench.output._publisher.get_subscription_count, "the driver")
    bench.output.send(step)
    bench.wait_for(lambda: bench.driver.log, "the command")
    np.testing.assert_allclose(bench.driver.log[-1].data, [10.0, 30.0])


def test_a_pose_stays(make_bench):
    bench = make_bench("cartesian_pose")
    bench.connect()
    setpoint = bench.drive(10, (0.005, 0.0, 0.001, -0.01))
    bench.wait_for_target(setpoint)
    np.testing.assert_allclose(bench.standing(), setpoint, atol=1e-9)


@pytest.mark.time_critical  # the proof needs the robot's state every 0.1 s
def test_twists_stop_by_the_driver_which_proved_it(make_bench):
    bench = make_bench("twist", **PROVED)
    bench.connect()
    assert bench.output._proof.passed
    assert 0.002 < bench.states[0][0][0] < 0.005, "nothing is reported before the proof is over"
    begun = bench.states[-1][0]
    bench.drive(1, (0.005, 0.0, 0.0, -0.01))  # more would be closed over when they are sent
    bench.wait_for_target((0.2, 0.0, 0.0, -0.2))  # what one tick's acceleration allows
    assert bench.driver.log[-1].header.frame_id == "base_link"
    bench.spin(TIMEOUT_S)
    assert bench.standing()[0] > begun[0]


@pytest.mark.time_critical  # the proof needs the robot's state every 0.1 s
def test_twists_lead_to_the_setpoint_and_a_hold_is_zero(make_bench):
    bench = make_bench("twist", **PROVED)
    bench.connect()
    place, moved = bench.states[-1][0], np.array([0.001, 0.0, 0.0, 0.0], np.float32)
    bench.output.send(ControlStep(1, 1, moved, place + moved, Source.HOLD))
    bench.wait_for_target(np.zeros(4))  # the driver's last one was the proof's
    ahead = place + [0.0, 0.01, 0.0, 0.0]
    bench.output.send(ControlStep(1, 2, np.zeros(4, np.float32), ahead, Source.ACTOR))
    bench.wait_for(lambda: bench.driver.target()[1] > 0.03, "the way to the set-point")


@pytest.mark.time_critical  # the proof needs the robot's state every 0.1 s
def test_a_driver_that_goes_on_is_refused(make_bench):
    bench = make_bench("twist", **PROVED)
    bench.driver.timeout = 1e6
    bench.wait_for(lambda: bench.node.exit_reason, "the rejection")
    assert "does not stop by itself" in str(bench.node.exit_reason)
    assert not bench.states, "no episode could begin"
    bench.wait_for_target(np.zeros(4))


def test_joints_are_read_by_name(make_bench):
    bench = make_bench("joint_trajectory")
    bench.driver.position = np.array([0.3, -0.4])
    bench.wait_for(lambda: bench.states, "the first state")
    position, fault = bench.states[-1]
    np.testing.assert_allclose(position, [0.3, -0.4])
    assert not fault


class Hand:
    """Publishes joint states and poses one by one; the driver publishes nothing by itself."""

    def __init__(self, bench):
        bench.other.destroy_timer(next(iter(bench.other.timers)))
        self._bench = bench
        self._joints, self._poses = bench.driver._joints, bench.driver._poses
        bench.wait_for(self._joints.get_subscription_count, "the output")

    def joints(self, names, positions, stamp=0.0):
        """One message, and the time for it to arrive."""
        message = JointState(name=names, position=positions)
        message.header.stamp = stamp_of_tick(round(stamp / DT), 1 / DT)
        self._joints.publish(message)
        self._bench.spin(0.1)

    def pose(self, frame="base_link", orientation=(1.0, 0.0, 0.0, 0.0), stamp=0.0):
        """One message, and the time for it to arrive."""
        message = PoseStamped()
        message.header.frame_id = frame
        message.header.stamp = stamp_of_tick(round(stamp / DT), 1 / DT)
        turn = message.pose.orientation
        turn.x, turn.y, turn.z, turn.w = orientation
        self._poses.publish(message)
        self._bench.spin(0.1)


def test_a_driver_without_stamps_tells_no_time(make_bench):
    bench = make_bench("joint_trajectory")
    hand = Hand(bench)
    hand.joints(list(JOINTS), [0.1, 0.2])
    hand.joints(list(JOINTS), [0.1, 0.2], stamp=1.0)
    assert ["no stamp" in fault for _, fault in bench.states] == [True, False]


def test_joints_of_two_drivers_are_one_state(make_bench):
    bench = make_bench("forward_position", command_joints=list(JOINTS))
    hand = Hand(bench)
    hand.joints(["finger"], [0.9])
    hand.joints(["turn"], [0.1])
    assert not bench.states, "lift is not known yet"
    assert next(iter(bench.output.state.heard)) == "lift in joint_states"
    hand.joints(["lift"], [0.2])
    assert [(list(position), fault) for position, fault in bench.states] == [([0.2, 0.1], "")]
    hand.joints(["lift"], [0.3])
    assert len(bench.states) == 1, "turn is older than the last state"
    assert next(iter(bench.output.state.heard)) == "turn in joint_states"


@pytest.mark.parametrize(
    ("names", "positions", "words"),
    [
        (["lift", "turn"], [0.1], "names 2 joints (lift, turn) and has 1 positions"),
        (["lift", "turn", "turn"], [0.1, 0.2, 0.3], "names turn twice"),
    ],
)
@pytest.mark.parametrize("output", ["joint_trajectory", "cartesian_pose"])
def test_a_malformed_joint_state_is_a_fault(make_bench, output, names, positions, words):
    bench = make_bench(output)
    hand = Hand(bench)
    if output == "cartesian_pose":
        hand.pose()
    hand.joints(names, positions)
    assert [words in fault for _, fault in bench.states] == [True]


def test_a_gripper_beside_the_arm_is_none_of_the_poses_business(make_bench):
    bench = make_bench("cartesian_pose")
    hand = Hand(bench)
    hand.pose()
    hand.joints(["finger"], [0.9])
    assert not bench.states, "no joint of the arm is known yet"
    hand.joints(["lift"], [0.0])
    hand.joints(["turn"], [0.0])
    assert [fault for _, fault in bench.states] == [""]
    hand.pose()
    hand.joints(["finger"], [0.9])
    assert len(bench.states) == 1, "the arm's joints are older than the last state"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame": "base"}, "in the frame 'base', the contract is in 'base_link'"),
        ({"frame": ""}, "names no frame"),
        ({"orientation": (0.966, 0.0, 0.0, 0.259)}, "tilted by 0.52"),
        ({"orientation": (0.0, 0.0, 0.0, 1.0)}, "180 degrees"),
        ({"orientation": (0.5, 0.0, 0.0, 0.0)}, "length 0.5"),
    ],
)
def test_a_pose_that_cannot_be_answered_is_a_fault(make_bench, changes, words):
    bench = make_bench("cartesian_pose")
    hand = Hand(bench)
    hand.pose(**changes)
    assert [words in fault for _, fault in bench.states] == [True]


def test_a_state_that_is_sent_again_is_no_news(make_bench):
    bench = make_bench("cartesian_pose")
    hand = Hand(bench)
    for stamp, count in ((1.0, 1), (1.0, 1), (1.02, 2)):
        hand.pose(stamp=stamp)
        hand.joints(["lift", "turn"], [0.0, 0.0], stamp=stamp)
        assert len(bench.states) == count
    hand.pose(stamp=1.04)
    hand.joints(["lift", "turn"], [0.0, 0.0], stamp=1.02)
    assert len(bench.states) == 2
    heard = bench.output.state.heard
    assert min(heard, key=heard.get) == "joint_states"


def test_twists_go_the_short_way_where_the_yaw_begins_anew(make_bench):
    bench = make_bench("twist", **PROVED, limits={"position_min": [-1.0] * 3 + [2.0],
                                                  "position_max": [1.0] * 3 + [4.5]})
    bench.driver.position = np.array([0.0, 0.0, 0.0, -2.5])
    bench.connect()
    target = bench.states[-1][0] + [0.0, 0.0, 0.0, 2 * np.pi + 0.05]
    for turned in np.linspace(0.0, 2 * np.pi, 9):  # somebody turns the tool once around
        bench.driver.position[3] = yaw = np.remainder(-2.5 + turned + np.pi, 2 * np.pi) - np.pi
        bench.wait_for(lambda yaw=yaw: abs(bench.states[-1][0][3] - yaw) < 1e-6, "the turn")
    bench.output.send(ControlStep(1, 1, np.zeros(4, np.float32), target, Source.ACTOR))
    bench.wait_for(lambda: 0.1 < bench.driver.target()[3] < 0.3, "the short way")


@pytest.mark.parametrize(
    ("output", "parameters", "words"),
    [
        ("forward_position", {}, "command_joints is missing"),
        ("forward_position", {"command_joints": list(JOINTS), "order": 1}, "order is unknown"),
        ("forward_position", {"command_joints": ["turn", "turn"]}, "command_joints"),
        ("forward_position", {"command_joints": ["turn", "lift", "more"]}, "command_joints"),
        ("twist", PROVED | {"driver_stop_timeout_s": 0.0}, "driver_stop_timeout_s is 0:"),
        ("twist", {}, "driver_stop_timeout_s is missing"),
        ("twist", PROVED | {"driver_stop_timeout_s": 0.5}, "within 0.1 s of silence"),
        ("twist", {"driver_stop_timeout_s": 0.1}, "proof_twist is missing"),
        ("twist", PROVED | {"proof_twist": [0.01]}, "proof_twist is [0.01]"),
        ("cartesian_pose", {"topics": "a"}, "output cartesian_pose of group arm in the robot file"),
        ("cartesian_velocity", {}, "installed are cartesian_pose, forward_position"),
    ],
)
def test_what_cannot_be_driven_safely_is_refused(make_bench, output, parameters, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make_bench(output, **parameters)


@pytest.mark.parametrize("name", ["joint_trajectory", "forward_position", "twist"])
def test_lockstep_is_the_simulators(name):
    with pytest.raises(ValueError, match="real time only"):
        load_output(name)(OutputSetup(None, make_entry(kind_of(name), name), 50.0, True, None))


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("joint_trajectory", GripperEntry, "of kind joints or tool, but group arm is of"),
     ("twist", JointsEntry, "of kind tool_yaw, but group arm is of kind joints"),
     ("cartesian_pose", JointsEntry, "of kind tool_yaw or tool")],
)
def test_a_group_of_another_kind_is_refused(name, kind, words):
    with pytest.raises(ValueError, match=f"{words}.*choose another output"):
        load_output(name)(OutputSetup(None, make_entry(kind, name), 50.0, False, None))


def test_every_output_is_installed():
    assert {point.name for point in entry_points(group=GROUP)} >= {
        "cartesian_pose", "joint_trajectory", "forward_position", "gripper", "twist"
    }


@pytest.mark.parametrize(
    "options",
    [CartesianPoseOptions, ForwardPositionOptions, GripperOptions, JointTrajectoryOptions,
     TwistOptions],
)
def test_the_readme_has_every_option_of_the_outputs(options):
    text = README.read_text()
    for name, field in options.model_fields.items():
        assert f"| `{name}` |" in text and field.description in text, name
