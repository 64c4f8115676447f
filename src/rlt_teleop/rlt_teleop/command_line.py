"""Arguments of nodes that are started by hand: a few of our own, the rest are those of ROS."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rlt_node.profiles import find_profile

NAMESPACE = "/rlt"
"""Where the launch files put all nodes by default."""
DEFAULT_PROFILE = "xbox"
SECTION = "/**/operator"


def ros_arguments(argv: Sequence[str], *options: str) -> list[str]:
    """Turn a command line into one that rclpy understands.

    A node started without a launch file runs in `/rlt`, unless its arguments set a namespace.

    Args:
        argv: The command line, program first.
        *options: Which of --check and --profile the node has.

    Raises:
        SystemExit: With usage and reason, if an argument is unknown or a profile does not exist.
    """
    words = list(argv[1:])
    start = words.index("--ros-args") if "--ros-args" in words else len(words)
    own, for_ros = words[:start], words[start:]
    parser = argparse.ArgumentParser(
        prog=f"ros2 run rlt_teleop {Path(argv[0]).name}",
        epilog="ROS 2's own arguments follow after --ros-args.",
    )
    if "--check" in options:
        parser.add_argument(
            "--check", action="store_true", help="show what the device does and what it is for"
        )
    if "--profile" in options:
        parser.add_argument(
            "--profile",
            help="a file of config/gamepads without .yaml, or the path of one; "
            f"default with --check: {DEFAULT_PROFILE}",
        )
    given = vars(parser.parse_args(own))
    profile = given.get("profile") or (DEFAULT_PROFILE if given.get("check") else "")
    if profile:
        try:
            for_ros = ["--ros-args", *_parameters(find_profile(profile)), *for_ros]
        except (OSError, ValueError) as error:
            parser.error(str(error))
    if not any("__ns:=" in word or "__node:=" in word for word in for_ros):
        for_ros += ["--ros-args", "-r", f"__ns:={NAMESPACE}"]
    return [argv[0], *for_ros]


def _parameters(file: Path) -> Iterator[str]:
    """The parameters of a profile as ROS arguments, whatever the node is called."""
    try:
        section = yaml.safe_load(file.read_text(encoding="utf-8"))[SECTION]["ros__parameters"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not a profile: expected {SECTION}: ros__parameters: …"
        ) from error
    for name, value in _flat(section):
        yield "-p"
        yield f"{name}:={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys joined by dots."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
