"""A joint near its limit, or one that jumps, stops the robot, by name."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rlt_core.control.joint_states import JointSample
from rlt_core.robot.robot_file import WatchedJoint, WatchedJoints
from rlt_policy.outputs.joint_limits import JointWatch

LIMITS = WatchedJoints(
    topic="joint_states", margin=0.1,
    limits={
        "lift": WatchedJoint(min=-1.0, max=1.0, velocity=1.0),
        "turn": WatchedJoint(min=-2.0, max=2.0, velocity=2.0),
    },
)
DT = 0.02


def watch():
    return JointWatch(LIMITS, DT)


def at(stamp=0.0, received=0.0, **positions):
    """New samples of some joints."""
    return {
        name: JointSample(position, math.nan, stamp, received)
        for name, position in positions.items()
    }


@pytest.mark.parametrize(
    ("lift", "turn", "words"),
    [
        (0.89, -1.89, ""),
        (0.91, 0.0, "joint lift in joint_states is at 0.910 rad, within 0.1 rad of its limit 1"),
        (0.0, -1.95, "joint turn in joint_states is at -1.950 rad, within 0.1 rad of its limit -2"),
        (5.0, 0.0, "joint lift in joint_states is at 5.000 rad"),
        (math.nan, 0.0, "joint lift in joint_states is nan"),
    ],
)
def test_measured_joints(lift, turn, words):
    said = watch().check(at(turn=turn, lift=lift))
    assert (words in said) if words else not said


def test_each_joint_is_watched_by_itself():
    joints = watch()
    assert not joints.check(at(0.0, 5.0, lift=0.0))
    assert not joints.check(at(0.0, 5.01, turn=0.0))
    assert "joint turn in joint_states jumped" in joints.check(at(0.0, 5.03, turn=0.1))
    assert not joints.check(at(0.0, 5.06, lift=0.059))
    assert "joint lift in joint_states jumped" in joints.check(at(0.0, 5.08, lift=0.09))


@pytest.mark.parametrize(
    ("moved", "stamps", "receipts", "jumped"),
    [
        (0.019, (0.0, 0.02), (5.0, 5.02), False),
        (0.021, (0.0, 0.02), (5.0, 5.02), True),
        (0.5, (0.0, 0.02), (5.0, 5.02), True),
        (0.5, (0.0, 0.6), (5.0, 5.6), False),  # a gap in which it may have moved
        (0.05, (0.0, 0.06), (5.0, 5.001), False),  # samples that a stalled receiver got at once
        (0.05, (0.0, 0.0), (5.0, 5.06), False),  # a driver without stamps
        (0.5, (7200.0, 3600.0), (5.0, 5.02), True),  # the driver's clock was set
    ],
)
def test_a_joint_faster_than_it_can_be_has_jumped(moved, stamps, receipts, jumped):
    joints = watch()
    assert not joints.check(at(stamps[0], receipts[0], lift=0.1, turn=0.0))
    said = joints.check(at(stamps[1], receipts[1], lift=0.1 + moved, turn=0.0))
    assert ("joint lift in joint_states jumped by" in said) == jumped
    assert bool(said) == jumped


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-0.0199, 0.0199), st.floats(0.0, 0.05)), max_size=30))
def test_possible_motion_is_never_a_jump(motion):
    joints, angle, now = watch(), 0.0, 0.0
    for step, pause in motion:
        angle, now = angle + step, now + pause
        if abs(angle) < 0.9:
            assert joints.check(at(0.0, now, lift=angle, turn=0.0)) == ""
