"""A tool on an arm that is driven by its joints: forth through inverse kinematics, and back."""

from __future__ import annotations

import numpy as np
import pytest
from arms import LIMITS, NAMES, WORKING
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from robot_files import ROOT

from rlt_core.action_space import ActionSpace
from rlt_core.control.joint_states import JointSample
from rlt_core.control.motion_limits import MotionLimiter, MotionLimits
from rlt_core.control.rotations import Quaternion
from rlt_core.records import ControlStep, Source
from rlt_core.robot.robot_file import ToolEntry
from rlt_policy.outputs.arm_joints import ToolOfJoints, arm_joints

DT = 0.02
URDF = ROOT / "config/robots/ur5e.urdf"
DYNAMICS = {"velocity": 0.25, "acceleration": 2.0, "max_tracking_error": 0.02}
NOMINAL = (1.0, 0.0, 0.0, 0.0)


def make_entry(nominal: Quaternion = NOMINAL, **kinematics) -> ToolEntry:
    watched = {
        name: {"min": low, "max": high, "velocity": speed}
        for name, low, high, speed in zip(
            NAMES, LIMITS.low, LIMITS.high, LIMITS.velocity, strict=True
        )
    }
    return TypeAdapter(ToolEntry).validate_python({
        "group": "arm", "kind": "tool", "frame": "base", "increments": "tool",
        "orientation": nominal, "output": {"type": "joint_trajectory"},
        "joints": {"topic": "joint_states", "margin": 0.1, "limits": watched},
        "kinematics": {
            "urdf": str(URDF), "base": "base", "tip": "tool0", "tcp": [0.0, 0.0, 0.15],
            "acceleration": 40.0, **kinematics,
        },
        "limits": {
            "translation": DYNAMICS | {"min": [-2, -2, -2], "max": [2, 2, 2]},
            "rotation": DYNAMICS | {"cone": 1.5, "max_tracking_error": 0.1, "velocity": 0.5},
        },
    })


class Arm:
    """An arm that follows its joints exactly, under the motion limits of its tool."""

    def __init__(self, joints=WORKING, **kinematics) -> None:
        orientation = ToolOfJoints(make_entry(), 1 / DT)._measuring.forward(joints).orientation
        self.entry = make_entry(orientation, **kinematics)
        self.arm = arm_joints(self.entry, 1 / DT)
        space = ActionSpace((self.entry.action,))
        self.limiter = MotionLimiter(space, DT, MotionLimits({"arm": self.entry.limits}, 5))
        self.joints, self.tick = np.array(joints), 0
        self.limiter.start(self.arm.position(self.joints))

    def run(self, wish, ticks: int) -> list[str]:
        """Move the tool; return the faults that its joints report."""
        faults = []
        for _ in range(ticks):
            sent = self.limiter.limit(np.array(wish, float), self.arm.position(self.joints))
            self.setpoint = sent.setpoint
            joints, increment = self.arm.command(ControlStep(
                1, self.tick, sent.increment.astype(np.float32), sent.setpoint, Source.ACTOR
            ))
            np.testing.assert_allclose(joints - increment, self.joints, atol=1e-12)
            assert (np.abs(increment) <= np.array(LIMITS.velocity) * DT * (1 + 1e-9)).all()
            self.joints, self.tick = joints, self.tick + 1
            news = {
                name: JointSample(float(value), 0.0, self.tick * DT, self.tick * DT)
                for name, value in zip(NAMES, joints, strict=True)
            }
            faults.append(self.arm.check(news))
        return [fault for fault in faults if fault]


slow = st.tuples(*[st.floats(-0.003, 0.003)] * 3, *[st.floats(-0.006, 0.006)] * 3)


@settings(max_examples=30)
@given(st.lists(slow, min_size=1, max_size=4))
def test_the_tool_is_where_its_set_point_is(wishes):
    arm = Arm()
    for wish in wishes:
        faults = arm.run(wish, 10)
        if faults:  # a drawn motion may lead to a joint's limit
            assert "within 0.1 rad of its limit" in faults[0]
            return
        distance = arm.entry.action.distances(arm.arm.position(arm.joints), arm.setpoint)
        assert distance[0] < 2e-5 and distance[1] < 2e-4


def test_a_set_point_out_of_reach_is_a_fault_that_says_so_once():
    arm = Arm()
    faults = arm.run([0.0, 0.0, 0.005, 0.0, 0.0, 0.0], 400)
    assert faults and "the arm cannot bring its tool to the set-point" in faults[0]
    assert "mm and" in faults[0] and "singular value" in faults[0]
    assert arm.arm.check({}) == "", "each one is said once"
    assert (arm.joints >= LIMITS.low).all() and (arm.joints <= LIMITS.high).all()


def test_after_a_pause_the_joints_begin_where_they_are_measured():
    arm = Arm()
    arm.run([0.002, 0.0, 0.0, 0.0, 0.0, 0.0], 10)
    arm.joints = arm.joints + 0.05  # a reset, during which nothing was sent
    arm.tick += 100
    arm.limiter.start(arm.arm.position(arm.joints))
    arm.run([0.0] * 6, 1)  # `run` checks where the joints begin


def test_the_limits_of_the_joints_keep_their_margin():
    arm = arm_joints(make_entry(), 1 / DT)
    assert arm.names == tuple(NAMES) and arm.topic == "joint_states"
    assert arm.limits[NAMES[2]].max == pytest.approx(LIMITS.high[2] - 0.1)
    assert arm.limits[NAMES[0]].acceleration == 40.0


def test_joints_that_are_not_known_have_no_position():
    arm = arm_joints(make_entry(), 1 / DT)
    assert np.isnan(arm.position(np.full(6, np.nan))).all()


@pytest.mark.parametrize(
    ("kinematics", "words"),
    [({"tip": "hand"}, "hand"), ({"base": "floor"}, "frame \\(base\\) and as base")],
)
def test_kinematics_that_do_not_fit_the_urdf_are_refused(kinematics, words):
    with pytest.raises(ValueError, match=words):
        arm_joints(make_entry(**kinematics), 1 / DT)


def test_in_a_hold_the_joints_brake_wherever_the_set_point_is():
    arm = Arm(acceleration=4.0)
    arm.run([0.005, 0.0, 0.0, 0.0, 0.0, 0.0], 15)
    far = arm.setpoint + np.array([0.05, 0.0, 0.0, 0.0, 0.0, 0.0])
    leap = arm.entry.action.difference(far, arm.setpoint)  # so that it does not begin anew
    moves = []
    for tick in range(arm.tick, arm.tick + 20):
        moved = (leap if not moves else np.zeros(6)).astype(np.float32)
        joints, increment = arm.arm.command(ControlStep(1, tick, moved, far, Source.HOLD))
        moves.append(np.abs(increment).max())
    assert moves[0] > 1e-3, "it brakes from its motion, within its acceleration"
    assert moves[-1] == 0.0
    left = arm.entry.action.distances(arm.arm.position(joints), far)[0]
    assert left > 0.03, "it did not go on to the set-point"


def test_the_joints_accelerate_within_their_limit():
    arm = Arm()
    last, most, tick = np.zeros(6), 40.0 * DT * DT * (1 + 1e-9), 0
    target = arm.arm.position(arm.joints) + np.array([0.0, 0.04, 0.0, 0.2, 0.0, 0.0])
    for tick in range(60):
        joints, increment = arm.arm.command(
            ControlStep(1, tick, np.zeros(6, np.float32), target, Source.ACTOR)
        )
        arm.arm.position(joints)  # it is measured there
        assert (np.abs(increment - last) <= most).all()
        last = increment
    assert arm.entry.action.distances(arm.arm.position(joints), target)[0] < 1e-4


def test_a_tool_needs_kinematics_to_be_driven_by_joints():
    entry = make_entry().model_copy(update={"kinematics": None})
    with pytest.raises(ValueError, match="is a tool without kinematics: add kinematics"):
        arm_joints(entry, 1 / DT)
