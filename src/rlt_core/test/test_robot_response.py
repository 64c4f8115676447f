"""A robot that does not follow its commands is detected; one that pushes is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlt_core.action_space import TOOL_YAW, ActionGroup, ActionSpace, gripper
from rlt_core.control.robot_response import PATIENCE_S, GroupResponses, Response

DT = 0.02
SPACE = ActionSpace((ActionGroup("arm", TOOL_YAW, ("x", "yaw"), ("m", "rad")),))
MAX_TRACKING_ERROR = np.array([0.006, 0.1])
TICKS = round(PATIENCE_S / DT)
START = np.array([0.3, 3.1])


def respond(places, lead=(0.006, 0.0)):
    """The result after each of the robot's positions, with the set-point `lead` ahead of START."""
    response = Response(SPACE, MAX_TRACKING_ERROR, DT)
    response.begin(START)
    verdicts = []
    for place in places:
        response.see(START + lead, np.asarray(place, np.float64))
        verdicts.append(response.still)
    return verdicts


def test_a_robot_that_never_moves_is_noticed_after_a_second():
    assert respond([START] * (TICKS + 1)) == [False] * TICKS + [True]


def test_noise_of_the_measurement_is_no_motion():
    noise = np.random.default_rng(0).uniform(-0.05, 0.05, (TICKS + 1, 2)) * MAX_TRACKING_ERROR
    assert respond(START + noise)[-1]


@pytest.mark.parametrize("lead", [(0.005, 0.05), (0.0, 0.0)])
def test_a_robot_that_is_not_told_to_move_may_stand(lead):
    assert not any(respond([START] * 3 * TICKS, lead))


@pytest.mark.parametrize("moved", [(0.0007, 0.0), (0.0, 0.011)])
def test_one_that_has_moved_may_stand_still_and_push(moved):
    assert not any(respond([START + moved] * 3 * TICKS))


def test_it_is_over_once_the_robot_moves():
    assert respond([START] * (TICKS + 5) + [START + [0.002, 0.0]])[-2:] == [True, False]


def test_a_whole_turn_is_no_motion():
    turned = START - [0.0, math.tau]
    assert respond([turned] * (TICKS + 1))[-1]


def test_the_next_start_begins_anew():
    response = Response(SPACE, MAX_TRACKING_ERROR, DT)
    for _ in range(2):
        response.begin(START)
        for _ in range(TICKS):
            response.see(START + MAX_TRACKING_ERROR, START)
        assert not response.still
    response.see(START + MAX_TRACKING_ERROR, START)
    assert response.still
    response.begin(START)
    assert not response.still


def test_an_arm_that_stands_is_noticed_beside_a_gripper_that_moves():
    space = ActionSpace((*SPACE.groups, gripper()))
    responses = GroupResponses(space, np.array([*MAX_TRACKING_ERROR, 1.0]), DT)
    place = np.array([*START, 0.0])
    responses.begin(place)
    for tick in range(TICKS + 1):
        place = np.array([*START, min(1.0, 0.05 * tick)])
        responses.see(place + [0.006, 0.0, 0.0], place)
    assert responses.still
