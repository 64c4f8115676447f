"""The simulated robot's file, and copies of it in which something differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rlt_core.robot.robot_file import Robot, read_robot

ROOT = Path(__file__).resolve().parents[1]
SIM = ROOT / "config" / "robots" / "sim.yaml"
USERS = ("observer", "chunk_controller", "learner")
"""The nodes with the parameter `robot`."""


def sim_robot() -> Robot:
    """The simulated robot."""
    return read_robot(SIM)


def robot_like_sim(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a copy of the simulated robot's file, changed in place by a function."""
    content = yaml.safe_load(SIM.read_text())
    change(content)
    path = folder / f"{content['robot']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
