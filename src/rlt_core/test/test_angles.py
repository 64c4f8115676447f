"""A full turn more is the same position."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.control.angles import TURN, all_near, near

ANGLES = st.floats(-20.0, 20.0)


@given(ANGLES, ANGLES, st.integers(-5, 5))
def test_near_is_the_same_place_within_half_a_turn(angle, reference, turns):
    moved = near(angle + turns * TURN, reference)
    assert abs(moved - reference) <= 0.5 * TURN + 1e-9
    assert math.remainder(moved - angle, TURN) == pytest.approx(0.0, abs=1e-9)


@given(ANGLES, st.floats(-math.pi, math.pi))
def test_what_is_near_already_keeps_its_last_bit(reference, away):
    angle = reference + away
    if abs(angle - reference) <= math.pi:
        assert near(angle, reference) == angle


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_what_is_no_angle_raises_nothing(value):
    near(value, -1e308)
    near(0.0, value)


def test_only_angles_on_a_circle_are_moved():
    place, reference = np.array([7.0, 7.0]), np.zeros(2)
    np.testing.assert_array_equal(
        all_near(place, reference, (False, True)), [7.0, near(7.0, 0.0)]
    )
