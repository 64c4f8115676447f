"""Simulated tasks: a registry, independent of ROS and learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlt_sim.world.gl import select_gl_platform

select_gl_platform()  # before anything imports MuJoCo

from rlt_sim.world.ethernet import EthernetWorld  # noqa: E402
from rlt_sim.world.world import Image, RobotState, TaskState, World  # noqa: E402

TASKS: dict[str, Callable[..., World]] = {"ethernet": EthernetWorld}


def make_world(task: str, **options: Any) -> World:
    """Build the world of a task.

    Args:
        task: a name in `TASKS`.
        **options: the task's own options, e.g. ``clearance_m``.

    Raises:
        ValueError: the task is unknown or an option is out of range.
        TypeError: the task has no such option.
    """
    if task not in TASKS:
        raise ValueError(f"Unknown task {task!r}; known tasks: {', '.join(sorted(TASKS))}.")
    return TASKS[task](**options)


__all__ = ["TASKS", "Image", "RobotState", "TaskState", "World", "make_world"]
