"""The arguments of the launch files, and how their values are read."""

from __future__ import annotations

import dataclasses

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration

from rlt_bringup.outer_launch import namespace_here
from rlt_core.settings import ScheduleSettings, TrainingSettings

DEVICES = {
    "gamepad": ("rlt_teleop", "gamepad", "xbox"),
    "keyboard": ("", "", "keyboard"),
    "person": ("rlt_sim", "person", "xbox"),
    "joy": ("joy", "game_controller_node", "xbox"),
    "none": ("", "", "xbox"),
}
"""What publishes joy: package and executable, if the launch starts it, and its default profile."""

ARGUMENTS = {
    "robot": (
        "sim", "the robot: 'sim', another file of config/robots without .yaml, or a path"
    ),
    "task": ("ethernet", "the task: a file of config/tasks without .yaml, or a path"),
    "model": ("", "folder of the base policy and RL token; empty: models/<task>"),
    "params_file": (
        "",
        "path of your own file of ROS parameters: overrides rlt.yaml, the robot's file and the "
        "profile, but not what the launch file sets",
    ),
    "seed": ("0", "seed of the run: episodes, exploration and learning follow from it"),
    "full_task": (
        "false", "true: episodes start at home; the base policy drives until the handover"
    ),
    "supervisor": (
        "auto", "who labels success and hands over: the simulator (auto) or a person (human)"
    ),
    "device": (
        "gamepad",
        "supervisor:=human: the person's device; keyboard: start it yourself in a terminal; "
        "person: a scripted one; joy: ROS's game_controller_node; none: another node publishes joy",
    ),
    "profile": (
        "",
        "what its buttons do: a file of config/gamepads without .yaml, or a path; empty: the "
        "device's own",
    ),
    "output": ("", "folder for all files of the run; empty: runs/<task>-<time>-seed<seed>"),
    "resume": ("false", "true: resume the run in the output folder; repeat its arguments"),
    "namespace": ("rlt", "ROS namespace of all nodes; a PushRosNamespace is put before it"),
    "log_level": ("info", "log level of the nodes"),
}
SCHEDULE = {
    "episodes": ("", "training episodes including warm-up; empty: as in rlt.yaml"),
    "warmup_episodes": (
        "", "training episodes that the base policy drives; empty: as in rlt.yaml"
    ),
    "base_eval_episodes": ("", "evaluation episodes before; empty: as in rlt.yaml"),
    "eval_episodes": ("", "evaluation episodes after; empty: as in rlt.yaml"),
}
"""Further arguments of a launch that trains."""
DEFAULT_NAMESPACE = "/" + ARGUMENTS["namespace"][0]

CHOICES = {
    "supervisor": ["auto", "human"],
    "device": list(DEVICES),
    "log_level": ["debug", "info", "warn", "error", "fatal"],
}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
LOWEST = {
    item.name: item.metadata["low"]
    for settings in (ScheduleSettings, TrainingSettings)
    for item in dataclasses.fields(settings)
    if type(item.default) is int
}
"""The smallest value of a whole-number argument."""


def arguments(*names: str, **others: tuple[str, str]) -> list[DeclareLaunchArgument]:
    """Declare launch arguments.

    Args:
        *names: Names in `ARGUMENTS`.
        **others: Further arguments: name -> (default, description).
    """
    table = {name: ARGUMENTS[name] for name in names} | others
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=description, choices=CHOICES.get(name)
        )
        for name, (default, description) in table.items()
    ]


def argument(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def whole(context: LaunchContext, name: str) -> int | None:
    """Value of a whole-number argument, None if it is empty.

    Raises:
        ValueError: If it is not a whole number.
    """
    text, lowest = argument(context, name).strip(), LOWEST.get(name, 0)
    if not text:
        return None
    try:
        value = float(text)
        number = int(text) if text.lstrip("+-").isdecimal() else int(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"argument {name}:={text} is not a whole number") from error
    if value != int(value):
        raise ValueError(f"argument {name}:={text} is not a whole number")
    if number < lowest:
        raise ValueError(f"argument {name}:={text} is too small: expected {lowest} or more")
    return number


def flag(context: LaunchContext, name: str) -> bool:
    """Value of an argument that is true or false; false where it is not declared.

    Raises:
        ValueError: If it is neither.
    """
    text = context.launch_configurations.get(name, "false").strip().lower()
    if text not in TRUE + FALSE:
        raise ValueError(f"argument {name}:={text} is neither true nor false")
    return text in TRUE


def namespaces(context: LaunchContext, name: str) -> list[str]:
    """Value of an argument that lists namespaces, separated by commas; each becomes absolute.

    Raises:
        ValueError: If one is not a namespace, or is listed twice.
    """
    words = [word.strip() for word in argument(context, name).split(",")]
    found = [namespace_here(context, word) for word in words if word]
    if len(set(found)) < len(found):
        raise ValueError(f"argument {name}:={argument(context, name)}: name each robot once")
    return found
