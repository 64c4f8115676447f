"""A joint near its limit stops the robot, by name."""

from __future__ import annotations

import math

import pytest

from rlt_policy.joints import JointSettings, JointWatch

LIMITS = JointSettings(["lift", "turn"], [-1.0, -2.0], [1.0, 2.0], 0.1)


@pytest.mark.parametrize(
    ("lift", "turn", "words"),
    [
        (0.89, -1.89, ""),
        (0.91, 0.0, "joint lift is at 0.910 rad, within 0.1 rad of its limit 1"),
        (0.0, -1.95, "joint turn is at -1.950 rad, within 0.1 rad of its limit -2"),
        (5.0, 0.0, "joint lift is at 5.000 rad"),
        (math.nan, 0.0, "joint lift in joint_states is nan"),
    ],
)
def test_measured_joints(lift, turn, words):
    said = JointWatch(LIMITS).check(["turn", "gripper", "lift"], [turn, 9.0, lift])
    assert (words in said) if words else not said


def test_a_missing_joint_is_no_go():
    assert "joint turn" in JointWatch(LIMITS).check(["lift"], [0.0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (JointSettings(), "joint_names, joint_min and joint_max have 0, 0 and 0"),
        (JointSettings(["a"], [0.0], []), "1, 1 and 0"),
        (JointSettings(["a"], [0.0], [0.2], 0.1), "joint a has joint_min 0"),
    ],
)
def test_limits_that_are_missing_or_do_not_fit(settings, words):
    with pytest.raises(ValueError, match=words):
        JointWatch(settings)
