"""A task: what the robot must do, and when it has failed; a file of config/tasks or your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from rlt_core.settings import ScheduleSettings, build, fit

EXAMPLE = "config/tasks/ethernet.yaml"
LIMITS = ("time_limit_ticks", "approach_limit_ticks", "time_limit")
DECIDED = {"task", "mode", "start"}
"""Options of the simulated world that a launch sets."""


@dataclass(frozen=True)
class Task:
    """The content of a task's file.

    Attributes:
        task: Name of the task: of its base policy in models/, and of its simulated world.
        time_limit_ticks: Ticks after which an unfinished critical phase ends.
        approach_limit_ticks: Ticks after which an approach from home ends.
        time_limit: "failure" (it has failed) or "truncation" (it was cut short).
        instruction: The language instruction: that of the base policy, or empty.
        world: Options of the simulated world.
    """

    task: str
    time_limit_ticks: int
    approach_limit_ticks: int
    time_limit: str
    instruction: str = ""
    world: dict[str, Any] = field(default_factory=dict)


def read_task(path: Path) -> Task:
    """Read a task's file.

    Raises:
        ValueError: If it cannot be read, lacks a key, or has an unknown or invalid one.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"task file {path} cannot be read ({reason}): fix it") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"task file {path} holds no keys: write one like {EXAMPLE}")
    known = [item.name for item in fields(Task)]
    if missing := [name for name in ("task", *LIMITS) if name not in content]:
        raise ValueError(f"task file {path} lacks {', '.join(missing)}: see {EXAMPLE}")
    if unknown := sorted(map(str, content.keys() - set(known))):
        raise ValueError(
            f"task file {path} holds {', '.join(unknown)}, but a task has only {', '.join(known)}"
        )
    world = content.get("world") or {}
    if not isinstance(world, Mapping):
        raise ValueError(f"world of task file {path} is {world!r}, expected names and values")
    if decided := sorted(DECIDED & world.keys()):
        names = ", ".join(decided)
        raise ValueError(f"world of task file {path} holds {names}: a launch sets it")
    try:
        limits = asdict(build(ScheduleSettings, {name: content[name] for name in LIMITS}))
        texts = {name: fit(name, content.get(name, ""), "") for name in ("task", "instruction")}
    except ValueError as error:
        raise ValueError(f"task file {path}: {error}") from error
    return Task(**{name: limits[name] for name in LIMITS}, **texts, world=dict(world))
