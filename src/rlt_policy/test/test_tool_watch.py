"""A tool that does not point down, or whose pose is in another frame, stops the robot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.control.tool_pose import tool_quaternion, tool_tilt, tool_yaw
from rlt_policy.outputs.tool_watch import ToolWatch

FRAME = "base_link"
LIMIT = 0.2


def tilted(angle, yaw=0.0, about=0.0):
    """Quaternion of a tool that points down with this yaw, then tilted about a level axis."""
    x, y, z, w = tool_quaternion(yaw)
    a, b, c = math.cos(about) * math.sin(0.5 * angle), math.sin(about) * math.sin(0.5 * angle), 0.0
    d = math.cos(0.5 * angle)
    return (
        d * x + a * w + b * z - c * y, d * y - a * z + b * w + c * x,
        d * z + a * y - b * x + c * w, d * w - a * x - b * y - c * z,
    )


def check(orientation, frame=FRAME):
    return ToolWatch("tcp_pose", FRAME, LIMIT).check(frame, orientation)


@given(st.floats(0.0, math.pi), st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.booleans())
def test_the_tilt_is_the_angle_from_straight_down(angle, yaw, about, other):
    orientation = tilted(angle, yaw, about)
    if other:  # the same orientation
        orientation = tuple(-value for value in orientation)
    assert tool_tilt(*orientation) == pytest.approx(angle, abs=1e-7)
    assert bool(check(orientation)) == (tool_tilt(*orientation) > LIMIT)


@given(st.floats(-math.pi, math.pi))
def test_a_tool_that_points_down_is_well_at_any_yaw(yaw):
    assert tool_tilt(*tool_quaternion(yaw)) == 0.0
    assert check(tool_quaternion(yaw)) == ""
    assert math.remainder(tool_yaw(*tool_quaternion(yaw)) - yaw, math.tau) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("orientation", "words"),
    [
        (tilted(math.radians(30)), ("0.524 rad (30 degrees)", "tilt_max is 0.2")),
        ((0.0, 0.0, 0.0, 1.0), ("3.142 rad (180 degrees)",)),  # points up: a driver's default
        ((0.0, 0.0, 0.0, 0.0), ("length 0:",)),
        ((0.9, 0.0, 0.0, 0.0), ("length 0.9:",)),
        ((math.inf, 1.0, 0.0, 0.0), ("length inf:",)),
    ],
)
def test_what_cannot_be_answered_is_named(orientation, words):
    said = check(orientation)
    assert all(word in said for word in words), said


def test_rounding_to_float32_is_no_fault():
    rounded = tuple(float(np.float32(value)) for value in tool_quaternion(0.7))
    assert check(rounded) == ""


@pytest.mark.parametrize(
    ("frame", "words"), [("base", "in the frame 'base'"), ("", "names no frame")]
)
def test_a_pose_in_another_frame_is_named_with_both(frame, words):
    said = check(tool_quaternion(0.0), frame)
    assert words in said and "'base_link'" in said


@given(st.floats(0.0, math.pi), st.floats(-3.0, 3.0))
def test_a_tool_that_may_point_anywhere_has_no_tilt(angle, yaw):
    assert ToolWatch("tcp_pose", FRAME, None).check(FRAME, tilted(angle, yaw)) == ""
