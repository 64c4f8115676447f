"""Set-points become a smooth motion that always ends at rest, in time and within the limits."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from axis_columns import AxisColumns
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlt_core.action_space import ActionSpace, joints
from rlt_core.control.motion_limits import MotionLimiter
from rlt_policy.outputs.braking import between
from rlt_policy.outputs.driver_clock import WINDOW_S, DriverClock
from rlt_policy.outputs.motion_plan import LEAD_S, MAX_DRIFT, PAST_S, REST_SECONDS, MotionPlan

DT = 0.02
COLUMNS = AxisColumns([-1.0, -2.0], [1.0, 2.0], [0.4, 2.0], [10.0, 40.0], [0.5, 0.5])
AXES = ("a", "b")
LIMITS = COLUMNS.by_axis(AXES)
SPACE = ActionSpace((joints("arm", AXES),))


def test_the_motion_passes_half_way_between_two_setpoints_at_their_speed():
    plan = MotionPlan(LIMITS, DT)
    plan.extend(np.array([0.1, 0.0]), np.zeros(2), 5.0)
    points = plan.extend(np.array([0.102, 0.0]), np.array([0.002, 0.0]), 5.0 + DT)
    assert points[0].seconds == 5.0 + DT - PAST_S
    (through,) = (p for p in points if np.isclose(p.seconds, 5.0 + 2 * DT + LEAD_S, atol=1e-9))
    np.testing.assert_allclose(through.position, [0.101, 0.0])
    np.testing.assert_allclose(through.velocity, [0.1, 0.0])
    assert points[-1].seconds == pytest.approx(5.0 + DT + REST_SECONDS)


def test_a_setpoint_that_stands_is_a_motion_that_stands():
    plan = MotionPlan(LIMITS, DT)
    for tick in range(5):
        points = plan.extend(np.array([0.1, 0.2]), np.zeros(2), 5.0 + tick * DT)
        assert all((point.position == [0.1, 0.2]).all() for point in points)
        assert not any(point.velocity.any() for point in points)


def test_a_robot_that_was_moved_begins_where_it_is():
    plan = MotionPlan(LIMITS, DT)
    plan.extend(np.array([0.1, 0.0]), np.array([0.004, 0.0]), 5.0)
    points = plan.extend(np.array([-0.5, 0.002]), np.array([0.0, 0.002]), 9.0)
    np.testing.assert_array_equal(points[0].position, [-0.5, 0.0])
    assert not points[0].velocity.any() and points[-1].seconds == 9.0 + REST_SECONDS


def test_a_silence_ends_where_the_motion_rested():
    plan = MotionPlan(LIMITS, DT)
    setpoint = np.zeros(2)
    for tick in range(10):
        setpoint = setpoint + [0.004, 0.0]
        last = plan.extend(setpoint, np.array([0.004, 0.0]), 5.0 + tick * DT)[-1]
    after = []
    for tick in range(150):
        now = 7.0 + tick * DT
        after += [between(plan.extend(setpoint, np.zeros(2), now), now + LEAD_S).position[0]]
    assert after[0] == last.position[0] > setpoint[0]
    assert (np.diff(after) <= 1e-12).all(), "it returns evenly to the set-point"
    np.testing.assert_allclose(after[-1], setpoint[0], atol=1e-8)


def test_too_slow_a_rate_is_refused():
    with pytest.raises(ValueError, match=r"at least 22\.7 Hz"):
        MotionPlan(LIMITS, 0.06)


def test_limits_that_leave_no_way_to_rest_are_refused():
    slow = dataclasses.replace(COLUMNS, acceleration=[10.0, 24.0]).by_axis(AXES)
    with pytest.raises(ValueError, match="axis b cannot"):
        MotionPlan(slow, DT)


wish = hnp.arrays(np.float64, 2, elements=st.floats(-0.1, 0.1))
start = hnp.arrays(np.float64, 2, elements=st.floats(-0.99, 0.99))


def drive(place, wishes, times):
    """Each tick's time, and what is planned at it."""
    limiter, plan = MotionLimiter(SPACE, DT, COLUMNS.limits(SPACE)), MotionPlan(LIMITS, DT)
    limiter.start(place)
    for increment, now in zip(wishes, times, strict=True):
        sent = limiter.limit(increment, None)
        points = plan.extend(sent.setpoint, sent.increment.astype(np.float32), now)
        yield sent, now, points, plan._joint


def check(points, now, beyond=1e-9):
    """The plan begins in the past, is at rest in time, and stays within all limits."""
    times = [point.seconds for point in points]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[0] == now - PAST_S and times[-1] <= now + REST_SECONDS + 1e-9
    assert not points[-1].velocity.any()
    for moment in np.linspace(times[0], times[-1], 40):
        place = between(points, moment).position
        assert (place >= np.array(COLUMNS.position_min) - beyond).all()
        assert (place <= np.array(COLUMNS.position_max) + beyond).all()
    for earlier, later in itertools.pairwise(points):
        assert (np.abs(later.velocity) <= np.array(COLUMNS.velocity) * (1 + 1e-9)).all()
        length = later.seconds - earlier.seconds
        rise = (later.position - earlier.position) / length
        drift = 6.0 * MAX_DRIFT * np.array(COLUMNS.velocity) / DT + 1e-6 / length
        for change in (  # a cubic's acceleration is largest at one of its ends
            (6.0 * rise - 4.0 * earlier.velocity - 2.0 * later.velocity) / length,
            (4.0 * later.velocity + 2.0 * earlier.velocity - 6.0 * rise) / length,
        ):
            assert (np.abs(change) <= np.array(COLUMNS.acceleration) + drift).all()


@settings(deadline=None)
@given(start, st.lists(st.tuples(wish, st.floats(0.0, LEAD_S)), max_size=30))
def test_the_motion_follows_within_the_limits_and_keeps_what_was_planned(place, ticks):
    times = [5.0 + tick * DT + late for tick, (_, late) in enumerate(ticks)]
    planned, until = None, 0.0
    for sent, now, points, joint in drive(place, [wished for wished, _ in ticks], times):
        check(points, now)
        if planned is not None:
            for moment in np.linspace(now, max(now, until), 5):
                np.testing.assert_allclose(
                    between(points, moment).position, between(planned, moment).position, atol=1e-9
                )
        np.testing.assert_allclose(
            between(points, joint).position, sent.setpoint - 0.5 * sent.increment, atol=1e-6
        )
        planned, until = points, joint


@settings(deadline=None)
@given(start, st.lists(st.tuples(wish, st.floats(0.0, 0.3)), max_size=30))
def test_lost_ticks_break_no_limit(place, ticks):
    times = 5.0 + np.cumsum([DT + late for _, late in ticks])
    turning = 0.1 * np.array(COLUMNS.acceleration) * DT**2  # a slow axis turns back at its limit
    for _, now, points, _ in drive(place, [wished for wished, _ in ticks], list(times)):
        check(points, now, turning)


def test_the_drivers_clock_is_that_of_the_fastest_message():
    clock = DriverClock()
    assert np.isnan(clock.at(1.0))
    for received, delay in ((1.0, 0.004), (1.1, 0.001), (1.2, 0.03)):
        clock.note(received - delay + 500.0, received)
    assert clock.at(2.0) == pytest.approx(502.0 - 0.001)
    clock.note(1.2 + WINDOW_S - 0.01 + 500.0, 1.2 + WINDOW_S)
    assert clock.at(2.0) == pytest.approx(502.0 - 0.01), "older messages no longer count"


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.1)), min_size=1))
def test_the_drivers_clock_is_never_ahead(messages):
    clock, received = DriverClock(), 1.0
    delays = []
    for pause, delay in messages:
        received += pause
        delays.append((received, delay))
        clock.note(received - delay, received)
    recent = [delay for at, delay in delays if at >= received - WINDOW_S]
    assert clock.at(received) == pytest.approx(received - min(recent))
