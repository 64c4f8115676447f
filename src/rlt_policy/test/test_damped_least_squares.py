"""Joints follow the tool's set-point, and keep their limits whatever it is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from arms import LIMITS, NAMES, UR5E, WORKING, turned
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rlt_policy.kinematics import LEVER_M
from rlt_policy.kinematics.damped_least_squares import CLOSE, SINGULAR, DampedLeastSquares
from rlt_policy.kinematics.limits import JointLimits
from rlt_policy.kinematics.model import KinematicModel

DT = 0.02
ARM = KinematicModel(UR5E, "base", "tool0", NAMES)
LOW, HIGH, FASTEST = (np.array(values) for values in dataclasses.astuple(LIMITS))
NARROW = JointLimits(WORKING - 0.3, WORKING + 0.3, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
STRETCHED = np.array([0.3, -0.7, 0.0, -1.2, -1.4, 0.2])
WRIST_STRAIGHT = np.array([0.2, -1.2, 1.7, -2.0, 0.0, 0.3])
SOLVER = DampedLeastSquares(ARM, LIMITS, DT)

ANGLES = st.tuples(*[st.floats(-3.0, 3.0)] * 6).map(np.array)
REGULAR = st.tuples(
    *[st.floats(low, high) for low, high in (
        (-3.0, 3.0), (-1.8, -0.8), (1.0, 2.0), (-2.5, -1.5), (-2.0, -1.0), (-3.0, 3.0)
    )]
).map(np.array)
DIRECTIONS = st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1).map(
    lambda v: np.array(v) / np.linalg.norm(v)
)
ANYWHERE = st.tuples(
    st.tuples(*[st.floats(-1e5, 1e5) | st.floats(-1.0, 1.0)] * 3).map(np.array),
    st.tuples(DIRECTIONS, st.floats(0.0, np.pi)).map(lambda d: turned(d[0] * d[1], [0, 0, 0, 1])),
)


def pose(angles):
    """The tool's position and orientation as arrays."""
    found = ARM.forward(angles)
    return np.array(found.position), np.array(found.orientation)


def angle_between(one, other):
    """The angle between two orientations, rad."""
    return 2.0 * math.acos(min(1.0, abs(float(np.dot(one, other)))))


def distance(solution):
    """What the solver reduces, m."""
    return math.hypot(solution.position_error_m, LEVER_M * solution.orientation_error_rad)


def drive(solver, joints, target, ticks):
    """Follow a target for some ticks; return all solutions."""
    found = []
    for _ in range(ticks):
        found.append(solver.solve(joints, *target))
        joints = found[-1].joints
    return found


# ---- What can be reached


@hypothesis_settings(deadline=None)
@given(REGULAR, DIRECTIONS, DIRECTIONS)
def test_a_small_step_is_done_in_one_tick(angles, way, axis):
    position, orientation = pose(angles)
    target = position + 0.001 * way, turned(np.deg2rad(1.0) * axis, orientation)
    found = SOLVER.solve(angles, *target)
    assert found.smallest_singular_value > 4.0 * SINGULAR
    assert found.position_error_m < 5e-6 and found.orientation_error_rad < 5e-6
    reached, turn = pose(found.joints)
    np.testing.assert_allclose(reached, target[0], atol=5e-6)
    assert abs(turn @ target[1]) == pytest.approx(1.0, abs=1e-9)


@hypothesis_settings(deadline=None)
@given(ANGLES, ANYWHERE)
def test_no_step_takes_the_tool_farther(angles, target):
    reached, turn = pose(angles)
    away = math.hypot(np.linalg.norm(reached - target[0]), LEVER_M * angle_between(turn, target[1]))
    for found in drive(SOLVER, angles, target, 4):
        assert distance(found) <= away * (1.0 + 1e-9) + 1e-8
        away = distance(found)


def test_a_path_is_followed():
    position, orientation = pose(WORKING)
    joints = WORKING
    for tick in range(300):  # a circle of 5 cm radius at 0.1 m/s, turning to and fro
        phase = 0.04 * tick
        away = 0.05 * np.array([np.cos(phase) - 1.0, np.sin(phase), 0.3 * np.sin(phase)])
        found = SOLVER.solve(
            joints, position + away, turned([0.0, 0.2 * np.sin(phase), 0.0], orientation)
        )
        assert found.position_error_m < 5e-6 and found.orientation_error_rad < 5e-6
        joints = found.joints


@hypothesis_settings(deadline=None)
@given(ANGLES, ANYWHERE)
def test_errors_are_those_of_the_pose_that_the_joints_give(angles, target):
    found = SOLVER.solve(angles, *target)
    reached, turn = pose(found.joints)
    assert found.position_error_m == pytest.approx(np.linalg.norm(reached - target[0]), rel=1e-9)
    assert found.orientation_error_rad == pytest.approx(angle_between(turn, target[1]), abs=1e-6)


@hypothesis_settings(deadline=None)
@given(ANGLES, ANYWHERE)
def test_a_quaternion_and_its_negative_are_the_same_orientation(angles, target):
    found, again = (SOLVER.solve(angles, target[0], sign * target[1]) for sign in (1.0, -1.0))
    np.testing.assert_array_equal(found.joints, again.joints)
    assert found.orientation_error_rad == again.orientation_error_rad


@hypothesis_settings(deadline=None)
@given(ANGLES, ANYWHERE, ANGLES, ANYWHERE)
def test_a_solution_depends_on_its_arguments_alone(angles, target, others, elsewhere):
    found = SOLVER.solve(angles, *target)
    SOLVER.solve(others, *elsewhere)
    again = SOLVER.solve(angles, *target)
    np.testing.assert_array_equal(found.joints, again.joints)
    assert list(vars(found).values())[1:] == list(vars(again).values())[1:]


# ---- Limits


@hypothesis_settings(deadline=None)
@given(st.lists(ANYWHERE, min_size=1, max_size=5), st.sampled_from([LIMITS, NARROW]))
def test_limits_are_kept_whatever_is_asked(targets, limits):
    solver, joints = DampedLeastSquares(ARM, limits, DT), WORKING
    for target in targets:
        for found in drive(solver, joints, target, 8):
            assert (np.abs(found.joints - joints) <= DT * np.array(limits.velocity)).all()
            assert (found.joints >= limits.low).all() and (found.joints <= limits.high).all()
            assert np.isfinite(found.joints).all() and math.isfinite(distance(found))
            joints = found.joints


@hypothesis_settings(deadline=None)
@given(ANGLES, st.lists(ANYWHERE, min_size=1, max_size=4))
def test_from_outside_its_limits_a_joint_only_moves_back(away, targets):
    solver, joints = DampedLeastSquares(ARM, NARROW, DT), WORKING + away
    for target in targets:
        for found in drive(solver, joints, target, 4):
            assert (found.joints >= np.minimum(NARROW.low, joints)).all()
            assert (found.joints <= np.maximum(NARROW.high, joints)).all()
            assert (np.abs(found.joints - joints) <= DT * np.array(NARROW.velocity)).all()
            joints = found.joints


def test_a_joint_outside_its_limits_is_named_and_comes_back():
    outside = WORKING + [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]
    found = drive(DampedLeastSquares(ARM, NARROW, DT), outside, pose(WORKING), 60)
    assert found[0].limited == ("elbow_joint",) and found[-1].limited == ()
    np.testing.assert_allclose(found[-1].joints, WORKING, atol=1e-5)


def test_the_other_joints_take_over_from_one_at_its_limit():
    """The arm with a rail reaches the same pose with its shoulder free and with it held."""
    urdf = UR5E.replace('"world_to_base" type="fixed"', '"world_to_base" type="prismatic"')
    names = ["world_to_base", *NAMES]
    model = KinematicModel(urdf, "world", "tool0", names)
    start = np.append(0.0, WORKING)
    low, high = np.append(-0.5, LOW), np.append(0.5, HIGH)
    found = model.forward(start)
    target = np.array(found.position) + [0.1, 0.1, -0.05], np.array(found.orientation)
    free = DampedLeastSquares(model, JointLimits(low, high, np.append(0.3, FASTEST)), DT)
    loose = drive(free, start, target, 80)[-1]
    assert distance(loose) < 1e-5 and loose.limited == () and abs(loose.joints[1] - start[1]) > 0.01
    towards = np.sign(loose.joints[1] - start[1])
    edge = low if towards < 0.0 else high
    edge[1] = start[1] + 0.005 * towards
    tight = DampedLeastSquares(model, JointLimits(low, high, np.append(0.3, FASTEST)), DT)
    held = drive(tight, start, target, 80)[-1]
    assert distance(held) < 1e-5 and held.limited == ("shoulder_pan_joint",)


# ---- What cannot be reached


@hypothesis_settings(deadline=None, max_examples=8)
@given(DIRECTIONS, st.floats(0.97, 1.05))
def test_an_arm_stretches_towards_what_is_a_little_too_far_and_does_not_swing(way, far):
    """The motion limits let no set-point go farther: two metres away it may swing by a little."""
    target = far * way / np.linalg.norm(way), pose(WORKING)[1]  # the arm reaches 0.95 m
    found = drive(SOLVER, WORKING, target, 400)
    steps = np.diff([solution.joints for solution in found], axis=0)[-100:]
    for joint in steps.T:
        moves = joint[np.abs(joint) > 1e-6]
        assert np.count_nonzero(np.diff(np.sign(moves))) <= 2
    assert (np.diff([distance(solution) for solution in found]) <= 1e-9).all()
    assert found[-1].position_error_m > 0.0


def test_at_rest_nothing_moves():
    target = pose(WORKING)
    found = drive(SOLVER, WORKING + 0.01, target, 20)
    assert distance(found[-1]) < CLOSE
    np.testing.assert_array_equal(found[-1].joints, found[-2].joints)


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_it_rests_only_where_no_pose_within_the_limits_is_nearer(seed):
    draw = np.random.default_rng(seed)
    solver = DampedLeastSquares(ARM, NARROW, DT)
    position, orientation = pose(WORKING + draw.uniform(-0.6, 0.6, 6))
    target = position + draw.uniform(-0.1, 0.1, 3), orientation
    *_, last, rest = drive(solver, WORKING, target, 300)
    least = distance(rest)
    if distance(last) > least + 1e-9:
        return  # it still approaches
    low, high = np.array(NARROW.low), np.array(NARROW.high)
    for _ in range(100):
        reached, turn = pose(np.clip(rest.joints + 0.003 * draw.normal(size=6), low, high))
        angle = angle_between(turn, target[1])
        assert math.hypot(np.linalg.norm(reached - target[0]), LEVER_M * angle) > least - 1e-5


@pytest.mark.parametrize("begin", [STRETCHED, WRIST_STRAIGHT])
@hypothesis_settings(deadline=None, max_examples=20)
@given(DIRECTIONS, DIRECTIONS, st.floats(-1e-3, 1e-3))
def test_through_a_singularity_it_slows_down_and_arrives(begin, way, axis, off):
    """The set-point goes 2 cm to and fro, and 5 degrees, past a singular posture."""
    joints = begin + off
    position, orientation = pose(joints)
    for tick in range(100):
        part = math.sin(0.04 * math.pi * tick)
        target = position + 0.02 * part * way, turned(np.deg2rad(5.0) * part * axis, orientation)
        found = SOLVER.solve(joints, *target)
        assert (np.abs(found.joints - joints) <= DT * FASTEST).all()
        joints = found.joints
    found = drive(SOLVER, joints, (position, orientation), 300)[-1]
    assert found.position_error_m < 0.002 and found.orientation_error_rad < 0.01


# ---- What is rejected


@pytest.mark.parametrize(
    ("index", "value", "words"),
    [
        (0, np.full(6, np.nan), "the joint position is"),
        (0, np.zeros(5), "expected 6 finite numbers"),
        (1, np.array([0.0, np.inf, 0.0]), "the tool's position is"),
        (1, np.array([0.0, 1e300, 0.0]), "expected 3 finite numbers below 1e"),
        (2, np.array([0.0, 0.0, np.nan, 1.0]), "the tool's orientation, as x y z w, is"),
        (2, np.zeros(4), "has length 0: expected a unit quaternion"),
    ],
)
def test_numbers_that_mean_no_pose_are_rejected(index, value, words):
    arguments = [WORKING, *pose(WORKING)]
    arguments[index] = value
    with pytest.raises(ValueError, match=words):
        SOLVER.solve(*arguments)


def test_a_period_and_limits_are_required():
    with pytest.raises(ValueError, match="control period is 0 s"):
        DampedLeastSquares(ARM, LIMITS, 0.0)
    with pytest.raises(ValueError, match="state one limit per joint"):
        DampedLeastSquares(ARM, JointLimits([], [], []), DT)
