"""What a terminal's characters do, given that no release of a key is reported."""

from __future__ import annotations

import pytest

from rlt_teleop.key_bindings import AXES, BUTTONS, FUNCTION_KEYS, HELP, MOTION_KEYS, PULSE_S, Keys


def axes(keys, now):
    return dict(zip(AXES, keys.axes(now), strict=True))


def down(keys, now):
    return {name for name, value in zip(BUTTONS, keys.buttons(now), strict=True) if value}


@pytest.mark.parametrize("key", MOTION_KEYS)
def test_a_motion_key_moves_for_a_pulse_only(key):
    keys = Keys()
    motion, direction = MOTION_KEYS[key]
    assert keys.press(key, 1.0)
    rest = dict.fromkeys(AXES, 0.0)
    assert axes(keys, 1.0 + 0.9 * PULSE_S) == rest | {motion: direction}
    assert axes(keys, 1.0 + 1.1 * PULSE_S) == rest
    assert down(keys, 1.0) == set()


def test_key_repeat_prolongs_the_motion():
    keys = Keys()
    for step in range(20):
        keys.press("w", 1.0 + 0.03 * step)
    assert axes(keys, 1.6)["x"] == 1.0
    assert axes(keys, 2.0)["x"] == 0.0


def test_a_capital_letter_moves_with_turbo():
    keys = Keys()
    keys.press("W", 1.0)
    assert axes(keys, 1.1)["x"] == 1.0
    assert down(keys, 1.1) == {"turbo"}


@pytest.mark.parametrize("key", FUNCTION_KEYS)
def test_a_function_key_that_is_held_is_one_press(key):
    keys = Keys()
    edges, before = 0, False
    for step in range(300):
        now = 1.0 + 0.01 * step
        if step == 0 or (now >= 1.5 and step % 3 == 0):  # a terminal's pause, then its repeat
            keys.press(key, now)
        pressed = FUNCTION_KEYS[key] in down(keys, now)
        edges, before = edges + (pressed and not before), pressed
    assert edges == 1


def test_takeover_is_a_toggle():
    keys = Keys()
    assert down(keys, 0.0) == set()
    keys.press(" ", 1.0)
    assert down(keys, 100.0) == {"takeover"}
    keys.press(" ", 101.0)
    assert down(keys, 101.0) == set()


def test_a_held_space_bar_ends_in_takeover():
    """Whatever was intended: key repeat never hands the robot back."""
    for presses_before in (0, 1):
        keys = Keys()
        for step in range(presses_before):
            keys.press(" ", float(step))
        for now in (10.0, 10.5, 10.53, 10.56):
            keys.press(" ", now)
        assert keys.takeover


def test_other_keys_mean_nothing():
    keys = Keys()
    # The last one is the Kelvin sign: its small letter is k.
    assert not any(keys.press(key, 1.0) for key in ["", "\x1b[D", *"zY1\n\x1b\u212a"])
    assert down(keys, 1.0) == set()


def test_the_help_names_every_key():
    words = HELP.split()
    assert {"SPACE", *MOTION_KEYS, *FUNCTION_KEYS} <= set(words)
