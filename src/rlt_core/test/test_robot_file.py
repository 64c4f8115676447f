"""A robot's file is checked completely, and an error says how to correct it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from robot_files import SIM, sim_robot

from rlt_core.contract import Contract
from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.robot import limits, robot_file
from rlt_core.robot.entries import Entry
from rlt_core.robot.robot_file import read_robot

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "your_robot.md").read_text(encoding="utf-8")
CONTRACT = Contract.load(ROOT / "models" / "ethernet" / "contract.json")
ARM = {
    "topic": "joint_states", "margin": 0.1,
    "limits": {"elbow": {"min": -2.0, "max": 2.0, "velocity": 3.0}},
}
AXIS = {"min": -1.0, "max": 1.0, "velocity": 0.5, "acceleration": 5.0, "max_tracking_error": 0.1}
DYNAMICS = {"velocity": 0.25, "acceleration": 2.0, "max_tracking_error": 0.02}


def tool_group(side: str) -> dict:
    return {
        "group": side, "kind": "tool", "prefix": f"{side}.", "frame": "base_link",
        "increments": "tool", "orientation": [1, 0, 0, 0], "joints": ARM,
        "output": {"type": "cartesian_pose", "topic": f"{side}/target_pose"},
        "limits": {
            "translation": DYNAMICS | {"min": [0, -1, 0], "max": [1, 1, 1]},
            "rotation": DYNAMICS | {"cone": 0.5},
        },
    }


def joint_group(side: str) -> dict:
    return {
        "group": side, "kind": "joints", "topic": "joint_states",
        "output": {"type": "joint_trajectory"},
        "limits": {f"{side}_{joint}": AXIS for joint in range(6)},
    }


def gripper_group(side: str) -> dict:
    return {
        "group": f"{side}_gripper", "kind": "gripper", "output": {"type": "gripper"},
        "limits": AXIS | {"min": 0, "max": 1},
    }


def robot_of(*groups: dict) -> dict:
    return {
        "robot": "arms", "rate_hz": 50, "max_age_ticks": 5, "cameras": {}, "proprioception": [],
        "action": list(groups),
    }


def written(folder: Path, content: object) -> Path:
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_the_simulated_robot_fits_its_model():
    robot = sim_robot()
    robot.require(CONTRACT)
    limiter = MotionLimiter(robot.space, CONTRACT.dt, robot.limits)
    assert limiter.max_increment.tolist() == pytest.approx([0.001, 0.001, 0.001, 0.01746])


@pytest.mark.parametrize("arm", [joint_group, tool_group])
def test_two_arms_with_grippers_are_a_file(tmp_path, arm):
    robot = read_robot(written(tmp_path, robot_of(
        arm("left"), gripper_group("left"), arm("right"), gripper_group("right")
    )))
    assert robot.space.size == 14 and len(set(robot.space.names)) == 14
    assert robot.space.names[6] == "left_gripper"
    limiter = MotionLimiter(robot.space, 0.02, robot.limits)
    assert limiter.max_increment.shape == (14,)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("robot", None, "robot is missing (name of the robot), e.g. ur5e"),
        ("rate_hz", "fast", "rate_hz is 'fast': expected a valid number"),
        ("rate_hz", True, "rate_hz is True: expected a number, not true or false, e.g. 50.0"),
        ("rate_hz", 0, "rate_hz is 0: expected greater than 0, e.g. 50.0"),
        ("rate_hz", float("nan"), "rate_hz is nan: expected a finite number"),
        ("max_age_ticks", 0.5, "max_age_ticks is 0.5: expected a valid integer"),
        ("speed", 1, "speed is unknown here: correct its name or remove it"),
        ("cameras.wrist.topic", None, "cameras.wrist.topic is missing (topic of its images)"),
        ("cameras.wrist.fit", "zoom", "fit is 'zoom': expected 'stretch', 'crop' or 'pad'"),
        ("cameras.wrist.transport", "jpeg", "transport is 'jpeg': expected 'raw' or 'compressed'"),
        ("proprioception.0.type", "pos", "proprioception[0].type is 'pos': expected 'pose', "),
        ("proprioception.0.type", None, "proprioception[0].type is missing"),
        ("action.0.kind", "leg", "action[0].kind is 'leg': expected 'tool_yaw', 'tool', 'joints'"),
        ("action.0.output.type", None, "action[0].output.type is missing"),
        ("action.0.limits.x.velocity", -1, "limits.x.velocity is -1: expected greater than 0"),
        ("action.0.limits.x.min", 9, "action[0].limits.x is {'min': 9, "),
        ("action.0.limits.x.acceleration", 0.01, "brake from full speed within 1 s"),
        ("action.0.limits.yaw", None, "limits of the axes x, y, z, yaw, in this order"),
        ("action.0.tilt_max", 0.6, "tilt_max is 0.6: expected less than or equal to 0.5"),
        ("action.0.joints.limits.elbow.min", 3.1, "of elbow for twice the margin 0.1"),
        ("action.0.joints.limits.elbow.velocity", None, "elbow.velocity is missing"),
        ("action", [], "action is []"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(tmp_path, place, value, words):
    content = yaml.safe_load(SIM.read_text())
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    part = content
    for key in path:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    file = written(tmp_path, content)
    with pytest.raises(ValueError) as error:
        read_robot(file)
    assert words in str(error.value), str(error.value)
    lines = str(error.value).splitlines()
    assert lines[0] == f"robot file {file} is not valid:" and len(lines) == 2


def test_all_errors_are_named_at_once(tmp_path):
    content = yaml.safe_load(SIM.read_text())
    del content["robot"]
    content["action"][0]["limits"]["z"]["velocity"] = -1
    content["action"][0]["limits"]["y"]["velocity"] = "high"
    with pytest.raises(ValueError) as error:
        read_robot(written(tmp_path, content))
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ((gripper_group("a"), gripper_group("a")), "action group a_gripper occurs twice"),
        ((tool_group("a"), tool_group("b") | {"prefix": "a."}), "axis a.rx, a.ry, a.rz, a.x"),
        ((tool_group("a") | {"orientation": [1, 1, 0, 0]},), "quaternion of length 1"),
        ((gripper_group("a") | {"limits": AXIS},), "from 0, closed, to 1, open"),
        ((tool_group("a") | {"increments": "world"},), "is 'world': expected 'base' or 'tool'"),
    ],
)
def test_groups_without_one_meaning_are_refused(tmp_path, groups, words):
    with pytest.raises(ValueError, match=words):
        read_robot(written(tmp_path, robot_of(*groups)))


@pytest.mark.parametrize(
    ("content", "words"),
    [("[", "cannot be read"), ("- 1", "is \\[1\\], expected names and values"), ("", "is None")],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, words):
    path = tmp_path / "robot.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_robot(path)


def test_a_urdf_lies_beside_the_robots_file(tmp_path):
    kinematics = {"urdf": "arm.urdf", "base": "base_link", "tip": "tool0", "acceleration": 15}
    content = robot_of(tool_group("a") | {"kinematics": kinematics})
    with pytest.raises(ValueError, match="is 'arm.urdf': expected the path of a file, but there"):
        read_robot(written(tmp_path, content))
    (tmp_path / "arm.urdf").write_text("<robot/>")
    arm = read_robot(written(tmp_path, content)).action[0].kinematics
    assert arm.urdf == tmp_path / "arm.urdf" and arm.tcp == (0.0, 0.0, 0.0)


def test_numbers_as_people_write_them(tmp_path):
    content = yaml.safe_load(SIM.read_text())
    content["action"][0]["limits"]["x"] |= {"acceleration": "5e0", "max": 1}
    axis = read_robot(written(tmp_path, content)).action[0].limits["x"]
    assert (axis.acceleration, axis.max) == (5.0, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda robot: robot["cameras"].pop("wrist"), "sees the cameras wrist, which robot sim"),
        (lambda robot: robot.update(rate_hz=30), "at 30 Hz, the model was made for 50 Hz"),
        (lambda robot: robot["action"][0].update(frame="world"), "frame world.*frame base_link"),
        (lambda robot: robot.update(action=[gripper_group("a")]), "is driven by gripper a_grip"),
    ],
)
def test_a_model_of_another_robot_is_refused_with_both_sides(tmp_path, change, words):
    content = copy.deepcopy(yaml.safe_load(SIM.read_text()))
    change(content)
    with pytest.raises(ValueError, match=words):
        read_robot(written(tmp_path, content)).require(CONTRACT)


def every_entry() -> list[type[Entry]]:
    found = [
        value for module in (robot_file, limits) for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Entry) and value.model_fields
        and not value.__name__.startswith("_")
    ]
    return sorted(set(found), key=lambda entry: entry.__name__)


@pytest.mark.parametrize("entry", every_entry(), ids=lambda entry: entry.__name__)
def test_the_document_has_every_key(entry):
    for name, field in entry.model_fields.items():
        assert f"`{name}`" in DOCUMENT, f"docs/your_robot.md lacks {name}"
        assert field.description or name in ("kind", "type"), name
