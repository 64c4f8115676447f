"""The installed defaults as the in-process runner needs them: one reader for all commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rlt_core.control.motion_limits import MotionLimits
from rlt_core.episodes.task_file import read_task
from rlt_core.files import named_file
from rlt_core.robot.robot_file import read_robot
from rlt_core.settings import (
    AgentSettings,
    ChunkSettings,
    ScheduleSettings,
    TrainingSettings,
    build,
)
from rlt_node.configuration import installed_configuration

T = TypeVar("T")


@dataclass(frozen=True)
class Installed:
    """What `ros2 launch rlt_bringup train.launch.py` would run with.

    Attributes:
        task: Name of the task and of its simulated world.
        model: Folder of the task's base policy and RL token.
        instruction: The task's language instruction.
        world: Options of the simulated world.
        limits: Motion limits of the simulated robot.
        schedule: Episodes of a run.
        agent: Actor-critic.
        training: Updates.
        chunks: Late chunks and takeovers.
    """

    task: str
    model: Path
    instruction: str
    world: dict[str, Any]
    limits: MotionLimits
    schedule: ScheduleSettings
    agent: AgentSettings
    training: TrainingSettings
    chunks: ChunkSettings


def installed(task: str) -> Installed:
    """Read the defaults of a task on the simulated robot.

    Args:
        task: A file of config/tasks without .yaml, or the path of a .yaml file.

    Raises:
        ValueError: If a file holds what it must not.
        FileNotFoundError: If there is no such task.
    """
    share = installed_configuration()
    config = share / "config"
    content = read_task(named_file("task", task, config / "tasks"))
    defaults = _parameters(config / "rlt.yaml")
    learner, episodes = defaults["learner"], defaults["episodes"]
    limits = {key: getattr(content, key) for key in ("time_limit_ticks", "time_limit")}
    return Installed(
        task=content.task,
        model=share / "models" / content.task,
        instruction=content.instruction,
        world=content.world,
        limits=read_robot(config / "robots" / "sim.yaml").limits,
        schedule=_take(ScheduleSettings, episodes | limits),
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
