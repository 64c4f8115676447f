"""The installed defaults as the in-process runner wants them: one reader for all commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from ament_index_python.packages import get_package_share_directory

from rlt_core.settings import (
    AgentSettings,
    ChunkSettings,
    GuardSettings,
    ScheduleSettings,
    TrainingSettings,
    build,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Installed:
    """What `ros2 launch rlt_bringup train.launch.py` would run with.

    Attributes:
        model: Folder of the task's base policy and RL token.
        instruction: The task's language instruction.
        world: Options of the simulated world.
        limits: Motion limits of the simulated robot.
        schedule: Episodes of a run.
        agent: Actor-critic.
        training: Updates.
        chunks: Late chunks and takeovers.
    """

    model: Path
    instruction: str
    world: dict[str, Any]
    limits: GuardSettings
    schedule: ScheduleSettings
    agent: AgentSettings
    training: TrainingSettings
    chunks: ChunkSettings


def installed(task: str) -> Installed:
    """Read the defaults of a task on the simulated robot.

    Raises:
        ValueError: If the task is unknown or a file holds values out of range.
    """
    share = Path(get_package_share_directory("rlt_bringup"))
    path = share / "config" / "tasks" / f"{task}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ValueError(f"unknown task {task!r}; known tasks: {', '.join(known)}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    defaults = _parameters(share / "config" / "rlt.yaml")
    robot = _parameters(share / "config" / "robots" / "sim.yaml")
    learner, episodes = defaults["learner"], defaults["episodes"]
    limit = {key: content[key] for key in ("time_limit_ticks", "time_limit")}
    return Installed(
        model=share / "models" / task,
        instruction=content["instruction"],
        world=content["world"],
        limits=_take(GuardSettings, robot["chunk_controller"]),
        schedule=_take(ScheduleSettings, episodes | limit),
        agent=_take(AgentSettings, learner),
        training=_take(TrainingSettings, learner),
        chunks=_take(ChunkSettings, defaults["chunk_controller"]),
    )


def _parameters(path: Path) -> dict[str, dict[str, Any]]:
    """A ROS parameter file as node name -> parameters."""
    nodes = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name.rpartition("/")[2]: body["ros__parameters"] for name, body in nodes.items()}


def _take(cls: type[T], values: dict[str, Any]) -> T:
    names = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return build(cls, {name: value for name, value in values.items() if name in names})
