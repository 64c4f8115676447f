"""Every motion comes to rest by itself, in time and within the limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from axis_columns import AxisColumns
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlt_policy.outputs.braking import COAST_S, Braking, Point, between

DT = 0.02
COLUMNS = AxisColumns([-1.0, -2.0], [1.0, 2.0], [0.4, 2.0], [10.0, 40.0], [0.5, 0.5])
LONGEST = 0.06
UNTIL = 0.09
LIMITS = COLUMNS.by_axis(("a", "b"))


def stop(position, velocity):
    begin = Point(np.array(position), np.array(velocity), 0.0)
    return Braking(LIMITS, DT, LONGEST).stop(begin, UNTIL)


def test_a_robot_that_stands_stays():
    (end,) = stop([0.1, 0.2], [0.0, 0.0])
    assert end.seconds == UNTIL and not end.velocity.any()
    np.testing.assert_array_equal(end.position, [0.1, 0.2])


def test_a_moving_axis_keeps_its_speed_for_a_while_and_brakes_at_its_limit():
    coasted, rest, end = stop([0.1, 0.2], [0.3, 0.0])
    assert (coasted.seconds, end.seconds) == (COAST_S, UNTIL)
    np.testing.assert_allclose(coasted.velocity, [0.3, 0.0])
    np.testing.assert_allclose(rest.seconds, COAST_S + 0.3 / 10.0)
    np.testing.assert_allclose(rest.position, [0.1 + 0.3 * COAST_S + 0.5 * 0.3 * 0.03, 0.2])
    np.testing.assert_array_equal(end.position, rest.position)


def test_a_slow_axis_brakes_gently():
    coasted, rest, _ = stop([0.1, 0.2], [0.0, 0.2])
    np.testing.assert_allclose(rest.seconds - coasted.seconds, DT)


def test_an_axis_before_its_limit_does_not_coast():
    rest, end = stop([1.0 - 0.5 * 0.3 * 0.03, 0.0], [0.3, 0.0])
    np.testing.assert_allclose(rest.seconds, 0.03)
    np.testing.assert_allclose(end.position, [1.0, 0.0])


def test_limits_that_leave_no_way_to_rest_are_refused():
    with pytest.raises(ValueError, match=r"axis b cannot .* only from 1\.6.* lower velocity"):
        Braking(LIMITS, DT, 0.04)


inside = st.floats(-0.999, 0.999)


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, 2, elements=inside), hnp.arrays(np.float64, 2, elements=inside),
    st.floats(0.0, UNTIL),
)
def test_the_rest_is_in_time_and_inside_the_limits(place, speed, moment):
    low, high = np.array(COLUMNS.position_min), np.array(COLUMNS.position_max)
    begin = Point(place * high, speed * COLUMNS.velocity, 0.0)
    points = [begin, *Braking(LIMITS, DT, LONGEST).stop(begin, UNTIL)]
    assert all(later.seconds > earlier.seconds for earlier, later in itertools.pairwise(points))
    assert points[-1].seconds <= UNTIL and not points[-1].velocity.any()
    state = between(points, moment)
    assert (low - 1e-9 <= state.position).all() and (state.position <= high + 1e-9).all()
    assert (np.abs(state.velocity) <= np.abs(begin.velocity) + 1e-9).all()
    assert (state.velocity * begin.velocity >= -1e-9).all(), "an axis turned back"
    enough = np.square(begin.velocity) / (2.0 * np.array(COLUMNS.acceleration))
    free = np.minimum(begin.position - low, high - begin.position) >= np.maximum(
        enough, 0.5 * DT * np.abs(begin.velocity)
    )
    for earlier, later in itertools.pairwise(points):
        change = (later.velocity - earlier.velocity) / (later.seconds - earlier.seconds)
        slack = 1e-6 / (later.seconds - earlier.seconds)
        assert (np.abs(change) <= np.array(COLUMNS.acceleration) + slack)[free].all()
