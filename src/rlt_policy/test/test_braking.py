"""Every motion comes to rest by itself, in time and within the limits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlt_core.contract import VectorSpec
from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.settings import MotionLimits
from rlt_policy.outputs.braking import REST_SECONDS, Braking

DT = 0.02
LIMITS = MotionLimits([-1.0, -2.0], [1.0, 2.0], [0.4, 2.0], [5.0, 40.0], [0.5, 0.5])


AXES = ("a", "b")
SPEC = VectorSpec(AXES, ("rad", "rad"), "delta_joint")


def spline(points, start, velocity, at):
    """Position (2,) of the cubic spline through the points, as trajectory controllers follow it."""
    begin, position = 0.0, start
    for point in points:
        length = point.seconds - begin
        if at <= point.seconds:
            s = (at - begin) / length
            rise = point.position - position
            out, into = velocity * length, point.velocity * length
            return (
                position + out * s + (3 * rise - 2 * out - into) * s**2
                + (out + into - 2 * rise) * s**3
            )
        begin, position, velocity = point.seconds, point.position, point.velocity
    return position


def test_a_setpoint_that_stands_is_one_point():
    (point,) = Braking(AXES, LIMITS, DT).points(np.array([0.1, 0.2]), np.zeros(2))
    assert point.seconds == DT and not point.velocity.any()
    np.testing.assert_array_equal(point.position, [0.1, 0.2])


def test_a_moving_setpoint_slows_down_at_the_limit():
    through, rest = Braking(AXES, LIMITS, DT).points(np.array([0.1, 0.2]), np.array([0.004, 0.0]))
    np.testing.assert_allclose(through.velocity, [0.2, 0.0])
    np.testing.assert_allclose(rest.seconds - through.seconds, 0.2 / 5.0)
    np.testing.assert_allclose(rest.position, [0.1 + 0.5 * 0.2 * 0.04, 0.2])


def test_too_slow_a_rate_is_refused():
    with pytest.raises(ValueError, match="at least 20 Hz"):
        Braking(AXES, LIMITS, 0.06)


def test_limits_that_leave_no_way_to_rest_are_refused():
    slow = dataclasses.replace(LIMITS, acceleration=[5.0, 24.0])
    with pytest.raises(ValueError, match="axis b cannot .* brakes only from 1.92.* lower velocity"):
        Braking(AXES, slow, DT)


wish = hnp.arrays(np.float64, 2, elements=st.floats(-0.1, 0.1))


@settings(deadline=None)
@given(hnp.arrays(np.float64, 2, elements=st.floats(-0.99, 0.99)), st.lists(wish, max_size=30))
def test_at_every_moment_the_rest_is_near_in_time_and_inside_the_limits(start, wishes):
    limiter, braking = MotionLimiter(SPEC, DT, LIMITS), Braking(AXES, LIMITS, DT)
    limiter.start(start)
    for increment in wishes:
        sent = limiter.limit(increment, None)
        points = braking.points(sent.setpoint, sent.increment)
        times = [point.seconds for point in points]
        assert times == sorted(set(times)) and times[-1] <= REST_SECONDS + 1e-12
        assert not points[-1].velocity.any()
        if len(points) > 1:
            braking_time = points[-1].seconds - DT
            assert (
                np.abs(sent.increment) / DT
                <= np.array(LIMITS.acceleration) * braking_time * (1 + 1e-9)
            ).all()
        np.testing.assert_array_equal(points[0].position, sent.setpoint)
        for point in points:
            assert (np.abs(point.velocity) <= np.array(LIMITS.velocity) * (1 + 1e-9)).all()
        for moment in np.linspace(DT, times[-1], 9):
            place = spline(points, sent.setpoint - sent.increment, sent.increment / DT, moment)
            assert (place >= np.array(LIMITS.position_min) - 1e-9).all()
            assert (place <= np.array(LIMITS.position_max) + 1e-9).all()
