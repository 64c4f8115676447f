"""Joints of several drivers are merged by name, each with its own age."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.control.joint_states import JointSample, JointStates

ARM, GRIPPER = ("lift", "turn"), "finger"


def test_each_driver_tells_of_its_own_joints():
    joints = JointStates([*ARM, GRIPPER])
    assert joints.merge(["turn", "lift"], [0.2, 0.1], [2.0, 1.0], 7.0, 100.0) == ["turn", "lift"]
    assert joints.merge([GRIPPER], [0.04], [], 3.0, 100.5) == [GRIPPER]
    assert joints.samples["lift"] == JointSample(0.1, 1.0, 7.0, 100.0)
    assert joints.samples[GRIPPER].position == 0.04
    assert math.isnan(joints.samples[GRIPPER].velocity)
    assert joints.heard == {"lift": 100.0, "turn": 100.0, GRIPPER: 100.5}


def test_a_message_about_other_joints_is_none_of_ours():
    joints = JointStates(ARM)
    assert joints.merge([GRIPPER, GRIPPER], [0.1, 0.2, 0.3], [], 1.0, 5.0) == []
    assert joints.heard == dict.fromkeys(ARM, -math.inf) and not joints.samples


def test_a_message_without_positions_is_no_news():
    joints = JointStates(ARM)
    assert joints.merge(ARM, [], [1.0, 1.0], 1.0, 5.0) == []
    assert not joints.samples


@pytest.mark.parametrize(
    ("names", "positions", "velocities", "words"),
    [
        (["lift", "turn"], [0.1], [], r"names 2 joints \(lift, turn\) and has 1 positions"),
        (["lift"], [0.1, 0.2], [], r"names 1 joints \(lift\) and has 2 positions"),
        (["lift", "turn"], [0.1, 0.2], [1.0], "has 1 velocities"),
        (["lift", "turn", "lift"], [0.1, 0.2, 0.3], [], "names lift twice in one message"),
    ],
)
def test_a_malformed_message_is_refused_whole(names, positions, velocities, words):
    joints = JointStates(ARM)
    with pytest.raises(ValueError, match=words):
        joints.merge(names, positions, velocities, 1.0, 5.0)
    assert not joints.samples and joints.heard["lift"] == -math.inf


@pytest.mark.parametrize(
    ("stamps", "news"),
    [
        ((1.0, 1.02, 1.04), (True, True, True)),
        ((1.0, 1.0, 1.0), (True, False, False)),  # the driver repeats an old measurement
        ((0.0, 0.0, 0.0), (True, True, True)),  # it sets no stamps
        ((3600.0, 10.0, 10.02), (True, False, True)),  # its clock was set back
        ((1.0, 0.9, 1.0), (True, False, True)),
    ],
)
def test_news_has_a_later_stamp(stamps, news):
    joints = JointStates(["lift"])
    for number, (stamp, new) in enumerate(zip(stamps, news, strict=True)):
        assert bool(joints.merge(["lift"], [number], [], stamp, 5.0 + number)) == new
        assert (joints.heard["lift"] == 5.0 + number) == new
        assert (joints.samples["lift"].position == number) == new


def test_who_is_silent_is_named():
    joints = JointStates([*ARM, GRIPPER])
    assert joints.oldest == ("joint_states", -math.inf)
    joints.merge(["left_lift", "left_turn"], [0.0, 0.0], [], 0.0, 1.0)
    assert joints.oldest == ("joint_states (which names left_lift, left_turn only)", -math.inf)
    joints.merge(ARM, [0.0, 0.0], [], 0.0, 5.0)
    assert joints.oldest == ("finger in joint_states", -math.inf)
    joints.merge([GRIPPER], [0.0], [], 0.0, 6.0)
    assert joints.oldest == ("lift, turn in joint_states", 5.0)
    joints.merge(ARM, [0.0, 0.0], [], 0.0, 6.0)
    assert joints.oldest == ("joint_states", 6.0)


@given(st.lists(st.sets(st.sampled_from([*ARM, GRIPPER]), min_size=1), max_size=12))
def test_how_joints_are_spread_over_messages_changes_no_value(parts):
    joints, truth = JointStates([*ARM, GRIPPER]), {}
    for number, part in enumerate(parts):
        truth |= {name: (float(number), 50.0 + number) for name in part}
        joints.merge(list(part), [number] * len(part), [], 1.0 + number, 50.0 + number)
    found = {name: (item.position, item.received) for name, item in joints.samples.items()}
    assert found == truth
