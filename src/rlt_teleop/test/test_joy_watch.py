"""When a device is not trusted, and the sentence that says why."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_teleop.device_profile import PARAMETERS, Profile
from rlt_teleop.joy_watch import JoySettings, JoyWatch

ENABLE, GRIP = 3, 2
PROFILE = Profile.from_parameters(
    {name: default for name, (default, _) in PARAMETERS.items()}
    | {
        "profile": "small", "axis_linear.x": 0, "axis_linear.y": 1, "scale_linear.x": 0.1,
        "scale_linear.y": 0.1, "buttons_gripper": [GRIP, 0], "scale_gripper": 0.1,
        "enable_button": ENABLE,
    }
)
PERIOD = 0.02


class Device:
    """A device that sends every 20 ms."""

    def __init__(self, **settings) -> None:
        self.watch = JoyWatch(PROFILE, JoySettings(**settings), "/rlt/joy")
        self.now = 100.0

    def send(
        self, x=0.0, y=0.0, held=False, grip=False, seconds=PERIOD, name="pad"
    ) -> str:
        """Keep a state for a while; the fault at its end."""
        for _ in range(max(1, round(seconds / PERIOD))):
            self.now += PERIOD
            self.watch.take(name, (x, y), (0, 0, int(grip), int(held)), self.now)
        return self.watch.fault(self.now)

    def pause(self, seconds) -> str:
        self.now += seconds
        return self.watch.fault(self.now)


def test_a_device_that_never_came():
    assert "nothing received on /rlt/joy yet" in Device().watch.fault(5.0)


def test_a_device_at_rest_is_believed_and_may_move_then():
    device = Device()
    assert device.send() == ""
    assert device.send(x=0.3, held=True) == ""
    assert device.watch.held


@pytest.mark.parametrize("first", [{"held": True}, {"x": 0.2}, {"y": -1.0}])
def test_a_device_that_moves_when_it_appears_must_rest_first(first):
    device = Device()
    assert "has not been at rest" in device.send(**first, seconds=1.0)
    assert device.send() == ""
    assert device.send(**first) == ""


def test_silence_is_a_fault_until_the_device_was_at_rest_again():
    device = Device()
    device.send()
    device.send(x=0.5, held=True)
    assert device.pause(0.19) == ""
    assert "silent for more than 0.2 s" in device.pause(0.02)
    assert "has not been at rest" in device.send(x=0.5, held=True)
    assert device.send() == ""


@pytest.mark.parametrize(
    ("state", "limit"), [({"x": 0.5}, 2.0), ({"x": 1.0, "y": 0.1}, 2.0), ({"x": -1.0}, 5.0)]
)
def test_a_deflected_stick_that_never_trembles_is_a_lost_link(state, limit):
    device = Device()
    device.send()
    assert device.send(**state, held=True, seconds=limit - 0.1) == ""
    assert "without the least change" in device.send(**state, held=True, seconds=0.3)
    moved = {name: value * 0.9 for name, value in state.items()}
    assert "has not been at rest" in device.send(**moved, held=True)
    assert device.send() == ""


def test_a_held_button_with_the_sticks_at_rest_may_stay_for_ever():
    device = Device()
    device.send()
    assert device.send(held=True, seconds=60.0) == ""
    assert device.send(held=True, grip=True, seconds=60.0) == ""


def test_the_limit_at_full_deflection_can_be_off():
    device = Device(stale_full_s=0.0)
    device.send()
    assert device.send(x=1.0, held=True, seconds=60.0) == ""


@given(st.lists(st.floats(0.1, 0.9), min_size=2, unique=True, max_size=5))
def test_a_hand_that_trembles_is_believed(values):
    device = Device()
    device.send()
    for x in values:
        assert device.send(x=x, held=True, seconds=1.9) == ""


@pytest.mark.parametrize(("axes", "buttons"), [((0.0,), (0,) * 4), ((0.0, 0.0), (0,) * 3)])
def test_a_device_with_too_few_controls_is_refused(axes, buttons):
    device = Device()
    device.watch.take("pad", axes, buttons, 1.0)
    said = device.watch.fault(1.0)
    assert f"has {len(axes)} axes and {len(buttons)} buttons, profile small needs 2 and 4" in said
    assert not device.watch.held


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused(value):
    device = Device()
    device.send()
    device.watch.take("pad", (0.0, value), (0, 0, 0, 1), device.now)
    assert f"axis 1 on /rlt/joy is {value}" in device.watch.fault(device.now)
    assert "has not been at rest" in device.send(held=True, seconds=0.3)


@pytest.mark.parametrize("x", [0.0, 0.5])
def test_another_device_is_never_believed_and_while_it_is_heard_neither_is_the_first(x):
    device = Device()
    device.send()
    device.send(x=0.3, held=True)
    assert "/rlt/joy comes from other with 2 axes and 4 buttons" in device.send(name="other", x=x)
    said = device.send(x=0.4, held=True)  # the one in use goes on beside it
    assert "the device in use is pad with 2 axes and 4 buttons" in said
    assert device.watch.axes == (0.4, 0.0)
    assert "has not been at rest" in device.send(x=0.4, held=True, seconds=0.3)
    assert device.send() == ""


def test_another_device_does_not_take_the_place_of_one_that_is_silent():
    device = Device()
    device.send()
    device.send(x=0.5, held=True)
    device.pause(1.0)
    assert "restart the operator node" in device.send(name="other", seconds=10.0)
    assert "restart the operator node" in device.send(name="other", held=True, seconds=1.0)
    assert device.watch.axes == (0.5, 0.0)
    device.pause(1.0)
    assert device.send() == ""
    assert device.watch.device.name == "pad"


def test_other_numbers_of_axes_or_buttons_are_another_device():
    device = Device()
    device.send()
    device.watch.take("pad", (0.0,) * 3, (0,) * 4, device.now)
    assert "comes from pad with 3 axes and 4 buttons" in device.watch.fault(device.now)


def test_until_one_is_believed_any_device_may_come():
    device = Device()
    assert "has not been at rest" in device.send(name="stuck", x=0.3)
    assert device.send(name="pad") == ""
    assert "comes from stuck" in device.send(name="stuck")


def test_two_publishers_are_a_fault_until_one_is_gone_and_the_device_at_rest():
    device = Device()
    device.send()
    device.watch.shared(["/rlt/gamepad (GID 1)"], device.now)
    assert device.send(held=True) == ""
    device.watch.shared(["/rlt/gamepad (GID 1)", "/joy (GID 2)"], device.now)
    said = device.send(held=True)
    assert "/rlt/joy is published by /rlt/gamepad (GID 1) and by /joy (GID 2)" in said
    assert "has not been at rest" in device.send(held=True, seconds=0.3)
    assert device.send() == ""
