"""Positions and increments of every kind of group compose without gimbal or wrap surprises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.action_space import (
    ActionSpace,
    ToolGroup,
    gripper,
    group_from,
    joints,
    tool,
    tool_yaw,
)
from rlt_core.contract import _plain
from rlt_core.control.rotations import between, compose, from_vector, rotate, to_vector, turned

DOWN = (1.0, 0.0, 0.0, 0.0)
CLOSE = {"rtol": 0, "atol": 1e-9}


def vectors(longest):
    """Vectors (3,) up to a length, also tiny ones."""
    return st.builds(
        lambda direction, length: np.array(direction) * length / math.hypot(*direction),
        st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda v: math.hypot(*v) > 1e-3),
        st.one_of(st.just(0.0), st.floats(0.0, longest)),
    )


orientations = vectors(math.pi).map(from_vector)


@given(vectors(math.pi - 1e-3))
def test_a_rotation_vector_survives_being_a_quaternion(vector):
    np.testing.assert_allclose(to_vector(from_vector(vector)), vector, **CLOSE)


@pytest.mark.parametrize("length", [1e-200, 1e-12, 1e-6])
def test_tiny_rotations_are_not_lost(length):
    found = to_vector(from_vector([0.0, length, 0.0]))
    np.testing.assert_allclose(found, [0.0, length, 0.0], rtol=1e-9, atol=0)


@given(orientations, orientations)
def test_a_rotation_and_its_opposite_quaternion_are_the_same(start, end):
    other = tuple(-part for part in end)
    found, mirrored = between(start, end), between(start, other)
    if np.linalg.norm(found) < math.pi - 1e-6:
        np.testing.assert_allclose(found, mirrored, **CLOSE)
    assert np.linalg.norm(found) <= math.pi + 1e-9
    same = compose(turned(start, found), tuple(np.array(end) * (-1, -1, -1, 1)))
    assert np.linalg.norm(to_vector(same)) < 1e-7


@pytest.mark.parametrize("frame", ["base", "tool"])
@given(place=vectors(1.0), start=orientations, nominal=orientations, way=vectors(0.3),
       turn=vectors(3.0))
def test_the_difference_of_poses_leads_from_one_to_the_other(
    frame, place, start, nominal, way, turn
):
    group = tool(increments=frame, nominal=nominal)
    position = group.position(place, start)
    increment = np.concatenate([way, turn])
    after = group.add(position, increment)
    np.testing.assert_allclose(group.difference(after, position), increment, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        group.distances(after, position),
        [np.linalg.norm(way), np.linalg.norm(turn)], rtol=0, atol=1e-6,
    )


def test_increments_in_the_tools_frame_move_along_its_own_axes():
    group = tool(increments="tool", nominal=DOWN)
    start = group.position([0.5, 0.0, 0.2], DOWN)
    np.testing.assert_allclose(start, [0.5, 0.0, 0.2, 0.0, 0.0, 0.0], **CLOSE)
    after = group.add(start, np.array([0.0, 0.0, 0.01, 0.0, 0.0, 0.1]))  # along its z: down
    np.testing.assert_allclose(after, [0.5, 0.0, 0.19, 0.0, 0.0, -0.1], **CLOSE)
    base = tool(increments="base", nominal=DOWN)
    after = base.add(start, np.array([0.0, 0.0, 0.01, 0.0, 0.0, 0.1]))
    np.testing.assert_allclose(after, [0.5, 0.0, 0.21, 0.0, 0.0, 0.1], **CLOSE)


@given(st.lists(vectors(0.05), min_size=1, max_size=200))
def test_many_small_rotations_do_not_drift(turns):
    group = tool(nominal=DOWN)
    position, exact = group.position(np.zeros(3), DOWN), DOWN
    for turn in turns:
        position = group.add(position, np.concatenate([np.zeros(3), turn]))
        exact = compose(from_vector(turn), exact)
    angle = np.linalg.norm(between(group.orientation(position), exact))
    assert angle < 1e-9


@given(st.floats(-10.0, 10.0), st.floats(-10.0, 10.0))
def test_the_yaw_of_a_tool_goes_the_short_way_and_a_joint_does_not(yaw, start):
    place = np.zeros(4)
    group = tool_yaw()
    way = group.difference(place + [0, 0, 0, yaw], place + [0, 0, 0, start])[3]
    assert abs(way) <= math.pi + 1e-9
    assert abs(math.remainder(start + way - yaw, math.tau)) < 1e-9
    turn = joints("arm", ["wrist"]).difference(np.array([yaw]), np.array([start]))
    np.testing.assert_array_equal(turn, [yaw - start])


BIMANUAL = ActionSpace((
    joints("left", [f"left_{i}" for i in range(6)]), gripper("left_gripper"),
    joints("right", [f"right_{i}" for i in range(6)]), gripper("right_gripper"),
))
MIXED = ActionSpace((
    tool("left", prefix="left.", nominal=DOWN), gripper("left_gripper"),
    tool_yaw("right", prefix="right."),
))


def test_a_bimanual_robot_with_grippers_is_one_vector_of_named_axes():
    assert BIMANUAL.size == 14 == len(BIMANUAL.names) == len(BIMANUAL.measures)
    assert MIXED.names[:7] == (
        "left.x", "left.y", "left.z", "left.rx", "left.ry", "left.rz", "left_gripper"
    )
    assert MIXED.measures[:3] == ("left translation", "left rotation", "left_gripper")
    assert [part.start for part in MIXED.slices] == [0, 6, 7] and MIXED.slices[-1].stop == 11


@given(st.data())
def test_every_group_of_a_space_composes_by_itself(data):
    start = np.array([*data.draw(vectors(1.0)), *data.draw(vectors(1.0)), 0.5, 0.4, 0.1, 0.2, 3.0])
    step = np.array([*data.draw(vectors(0.1)), *data.draw(vectors(0.1)), 0.1, 0.0, 0.0, 0.1, 0.5])
    after = MIXED.add(start, step)
    np.testing.assert_allclose(MIXED.difference(after, start), step, **CLOSE)
    assert MIXED.distances(after, start).shape == (len(MIXED.measures),)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ActionSpace((gripper("a"), gripper("a"))), "action group a occurs twice"),
        (lambda: ActionSpace((gripper("a"), joints("b", ["a"]))), "action axis a occurs twice"),
        (lambda: ActionSpace((joints("b", ["c", "d"], ["rad"]),)), "2 axes and 1 units"),
        (lambda: ToolGroup("arm", "tool", ("x", "y"), ("m", "m")), "has 2 axes"),
        (lambda: tool(increments="world"), "is 'world': expected base or tool"),
        (lambda: tool(nominal=(0.0, 0.0, 0.0, 2.0)), "expected a unit quaternion"),
        (lambda: group_from({"kind": "leg"}), "kind of an action group is 'leg'"),
    ],
)
def test_axes_without_one_meaning_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("group", [*BIMANUAL.groups, *MIXED.groups], ids=lambda g: g.name)
def test_a_group_survives_being_written_as_json(group):
    assert group_from(_plain(group)) == group


def test_rotating_a_vector_keeps_its_length():
    np.testing.assert_allclose(rotate(DOWN, [1.0, 2.0, 3.0]), [1.0, -2.0, -3.0], **CLOSE)
