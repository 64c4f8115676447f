"""Profiles: every file works and maps each control once; invalid profiles are rejected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlt_node.profiles import find_profile
from rlt_teleop.command_line import _flat
from rlt_teleop.device_profile import FUNCTIONS, MOTIONS, OFF, PARAMETERS, Profile
from rlt_teleop.joy_watch import JoySettings
from rlt_teleop.key_bindings import AXES, BUTTONS, FUNCTION_KEYS, MOTION_KEYS

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "config/gamepads"
FILES = sorted(FOLDER.glob("*.yaml"))
DT = 0.02
PAD = (6, 21)
"""Axes and buttons of a game controller."""


def values(path: Path) -> dict:
    return dict(_flat(yaml.safe_load(path.read_text())["/**/operator"]["ros__parameters"]))


def profile(name: str = "xbox", **changes) -> Profile:
    defaults = {name: default for name, (default, _) in PARAMETERS.items()}
    return Profile.from_parameters(defaults | values(FOLDER / f"{name}.yaml") | changes)


XBOX = profile()


def device(made: Profile, axes=(), buttons=()) -> tuple[list[float], list[int]]:
    """A device at rest except for these."""
    state = [0.0] * max(PAD[0], made.needs[0]), [0] * max(PAD[1], made.needs[1])
    for index, value in dict(axes).items():
        state[0][index] = value
    for index in buttons:
        state[1][index] = 1
    return state


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_profile_does_everything_once(path):
    made = profile(path.stem)
    assert made.name == path.stem
    assert set(made.motions) == set(MOTIONS)
    assert set(made.functions) == set(FUNCTIONS)
    controls = [(kind, index) for kind, index, _ in made.uses]
    assert len(controls) == len(set(controls))
    needed = (len(AXES), len(BUTTONS)) if path.stem == "keyboard" else PAD
    assert all(need <= has for need, has in zip(made.needs, needed, strict=True))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_profile_sets_parameters_that_exist(path):
    assert set(values(path)) <= set(PARAMETERS) | set(vars(JoySettings()))


def test_the_keyboards_profile_is_the_keyboards_order():
    made = profile("keyboard")
    axes = {index: what for kind, index, what in made.uses if kind == "axis"}
    buttons = {index: what for kind, index, what in made.uses if kind == "button"}
    assert [axes[index] for index in range(len(AXES))] == list(AXES)
    assert [buttons[index] for index in range(len(BUTTONS))] == list(BUTTONS)


def test_the_picture_and_the_table_show_everything():
    picture = (ROOT / "docs/gamepad.svg").read_text()
    words = {*FUNCTIONS, "takeover", "turbo", "roll", "pitch", "yaw", "gripper"}
    assert [word for word in words if word not in picture] == []
    table = (ROOT / "docs/operator.md").read_text()
    assert [key for key in {*MOTION_KEYS, *FUNCTION_KEYS} if f"`{key}`" not in table] == []


@pytest.mark.parametrize(
    ("axes", "buttons", "expected"),
    [
        ({1: 1.0}, (), {"x": 0.02}),
        ({0: -0.5}, (), {"y": -0.01}),
        ({3: -1.0}, (9,), {"z": -0.05}),
        ({2: 1.0}, (), {"yaw": 0.3}),
        ({}, (14,), {"roll": 0.2}),
        ({}, (13, 9), {"roll": -0.5}),
        ({}, (11,), {"pitch": 0.2}),
        ({4: -1.0}, (), {"gripper": 0.05}),
        ({5: -0.5}, (), {"gripper": -0.025}),
        ({4: -1.0, 5: -1.0}, (11, 12), {}),
    ],
)
def test_the_xbox_profile_moves_what_its_comments_say(axes, buttons, expected):
    made = profile()
    increment = made.increment(*device(made, axes, buttons), MOTIONS, DT)
    speeds = dict.fromkeys(MOTIONS, 0.0) | expected
    assert increment == pytest.approx([speeds[name] * DT for name in MOTIONS], abs=1e-8)


def test_axes_of_the_contract_without_a_control_stay_at_rest():
    made = profile()
    increment = made.increment(*device(made, {1: 1.0, 2: 1.0}), ("wrist", "yaw", "x"), DT)
    assert increment == pytest.approx([0.0, 0.3 * DT, 0.02 * DT])
    assert increment.dtype == np.float32


def test_a_negative_scale_inverts():
    made = profile(**{"scale_linear.x": -0.02, "scale_linear_turbo.x": 0.0})
    for turbo in ((), (9,)):
        assert made.increment(*device(made, {1: 1.0}, turbo), ("x",), DT) == pytest.approx([-4e-4])


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6),
    st.lists(st.integers(0, 1), min_size=21, max_size=21),
)
def test_no_state_of_the_device_moves_faster_than_the_profile_says(axes, buttons):
    increment = XBOX.increment(axes, buttons, MOTIONS, DT)
    for name, value in zip(MOTIONS, increment, strict=True):
        motion = XBOX.motions[name]
        limit = motion.turbo if buttons[XBOX.turbo] else motion.scale
        assert abs(value) <= abs(limit) * DT * (1 + 1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enable_button": OFF}, "enable_button is off"),
        ({"success_button": 1}, "button 1 does both success and failure"),
        ({"axis_linear.z": 1}, "axis 1 does both x and z"),
        ({"abort_button": -2}, "abort is on button -2"),
        ({"scale_angular.yaw": 0.0, "scale_angular_turbo.yaw": 0.0}, "scale_angular.yaw is 0"),
        ({"buttons_angular.roll": [14]}, "roll: triggers and buttons come in pairs"),
    ],
)
def test_what_cannot_work_is_refused(changes, said):
    with pytest.raises(ValueError, match="roll:|profile xbox: ") as caught:
        profile(**changes)
    assert said in str(caught.value)


def test_no_profile_at_all_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="--profile xbox"):
        Profile.from_parameters({name: default for name, (default, _) in PARAMETERS.items()})


def test_an_action_space_that_nothing_moves_is_told():
    assert profile().no_motion(("elbow", "z")) == ""
    said = profile().no_motion(("elbow", "wrist"))
    assert "no control of profile xbox moves an action axis of this model (elbow, wrist)" in said
    assert "a takeover only stops the robot" in said
    assert not np.any(profile().increment(*device(XBOX, {1: 1.0}), ("elbow", "wrist"), DT))


def test_profiles_are_found_by_name_and_by_path(tmp_path, monkeypatch):
    assert find_profile("xbox", FOLDER) == FOLDER / "xbox.yaml"
    own = tmp_path / "mine.yaml"
    own.write_text((FOLDER / "xbox.yaml").read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_profile(str(own)) == find_profile("~/mine.yaml") == own
    with pytest.raises(FileNotFoundError, match="'ps5'.*generic, keyboard, xbox"):
        find_profile("ps5", FOLDER)
    with pytest.raises(FileNotFoundError, match="no profile file"):
        find_profile(str(tmp_path / "none.yaml"))
