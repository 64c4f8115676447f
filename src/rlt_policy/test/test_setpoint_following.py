"""A robot that takes velocities follows set-points; a push or a hold never makes it run away."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from axis_columns import AxisColumns

from rlt_core.action_space import TOOL_YAW, ActionGroup, ActionSpace
from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.records import ControlStep, Source
from rlt_policy.outputs.setpoint_following import Following

DT = 0.02
MAX_TRACKING_ERROR = 0.006
SPACE = ActionSpace((ActionGroup("arm", TOOL_YAW, ("x", "yaw"), ("m", "rad")),))
REST = np.zeros(2)


def make_limits(acceleration=2.0):
    return AxisColumns(
        [-0.5, -3.0], [0.5, 3.0], [0.05, 0.8], [acceleration, 40.0], [MAX_TRACKING_ERROR, 0.1]
    )


class Robot:
    """Integrates velocities with an error of scale; its states arrive `delay` ticks late."""

    def __init__(self, scale=1.0, delay=2, acceleration=2.0):
        limits = make_limits(acceleration)
        self.limiter, self.following = MotionLimiter(SPACE, DT, limits.limits(SPACE)), Following(
            limits.by_axis(SPACE.names), DT
        )
        self.limiter.start(REST)
        self.position, self.velocity = REST.copy(), REST
        self.setpoint = REST
        self._states = deque([REST] * (delay + 1), maxlen=delay + 1)
        self._scale = scale
        self._change = np.array(limits.acceleration) * DT

    def run(self, ticks, increment=REST, source=Source.HOLD):
        """Control for some ticks; return where the robot was, (ticks, 2)."""
        places = []
        for tick in range(ticks):
            self._states.append(self.position)
            measured = self._states[0]
            wish = None if source is Source.HOLD else np.array(increment)
            sent = self.limiter.limit(wish, measured)
            step = ControlStep(
                1, tick, sent.increment.astype(np.float32), sent.setpoint, source
            )
            velocity = self.following.velocity(step, measured)
            assert (np.abs(velocity) <= [0.05, 0.8]).all()
            assert (np.abs(velocity - self.velocity) <= self._change * (1 + 1e-9)).all()
            self.velocity, self.setpoint = velocity, sent.setpoint
            self.position = self.position + self._scale * velocity * DT
            places.append(self.position)
        return np.array(places)


SCALES = pytest.mark.parametrize("scale", [0.95, 1.0, 1.05])


@SCALES
@pytest.mark.parametrize("push", [0.0065, -0.0065, 0.05])
def test_a_robot_that_is_pushed_in_a_hold_stays_where_it_is(scale, push):
    robot = Robot(scale)
    robot.run(5)
    robot.position = np.array([push, 0.0])
    np.testing.assert_array_equal(robot.run(200), np.tile([push, 0.0], (200, 1)))


@SCALES
@pytest.mark.parametrize("acceleration", [2.0, 0.1])
@pytest.mark.parametrize("push", [0.0065, -0.0065, 0.03])
def test_a_robot_that_is_pushed_while_somebody_acts_comes_back_to_the_setpoint(
    scale, push, acceleration
):
    robot = Robot(scale, acceleration=acceleration)
    robot.run(5, source=Source.HUMAN)
    robot.position = np.array([push, 0.0])
    places = robot.run(400, source=Source.HUMAN)[:, 0] * np.sign(push)
    assert places.max() <= abs(push) + 1e-9, "never further away"
    np.testing.assert_allclose(robot.position, robot.setpoint, atol=1e-4)


def test_a_robot_that_is_pushed_all_the_time_is_not_helped():
    robot = Robot(1.05)
    for _ in range(200):
        robot.run(1, source=Source.ACTOR)
        assert robot.velocity[0] <= 0.0
        robot.position = robot.position + [0.0009, 0.0]


@SCALES
def test_a_robot_that_errs_in_its_speed_neither_runs_away_nor_stalls(scale):
    robot = Robot(scale)
    robot.run(300, (0.0009, -0.01), Source.ACTOR)
    assert robot.setpoint[0] > 0.26, "the set-point never waits at its max_tracking_error"
    assert (np.abs(robot.position - robot.setpoint) < [0.5 * MAX_TRACKING_ERROR, 0.05]).all()
    robot.run(10)
    place = robot.run(1)[0]
    np.testing.assert_array_equal(robot.run(50), np.tile(place, (50, 1)))


def test_a_hold_brakes_within_the_acceleration_limit():
    robot = Robot(acceleration=0.5)
    robot.run(100, (0.001, 0.0), Source.ACTOR)
    speeds = []
    for _ in range(8):
        robot.run(1)
        speeds.append(robot.velocity[0])
    np.testing.assert_allclose(np.diff(speeds[:4]), -0.01, atol=1e-9)
    assert speeds[-1] == 0.0


def test_after_a_rest_speed_is_built_up_anew():
    robot = Robot(acceleration=0.5)
    robot.run(100, (0.001, 0.0), Source.ACTOR)
    robot.following.rest()
    robot.velocity = REST
    robot.run(1, (0.001, 0.0), Source.ACTOR)
    assert 0.0 < robot.velocity[0] <= 0.01 + 1e-9
