"""What a launch does when a process of a graph ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch import LaunchContext
from launch.action import Action
from launch.actions import LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch_ros.actions import Node

from rlt_node.process import EXIT_LOST

RESPAWN_SECONDS = 2.0
WITHOUT_OPERATOR = "the robot holds while nobody can take over"
WITHOUT_LEARNER = "the robot continues with its last weights"


@dataclass
class Run:
    """Whether a graph's run is over; the launch may continue with the runs of other graphs."""

    over: bool = False

    def ends(self, context: LaunchContext) -> bool:
        """Whether the graph's nodes are to end."""
        return self.over or bool(context.is_shutdown)


def required(nodes: Mapping[str, Node], run: Run | None = None) -> list[RegisterEventHandler]:
    """End the launch with exit code 1, naming the node, when a node ends before the run."""
    run = run or Run()

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def died(event: Any, context: LaunchContext) -> list[Action]:
            if run.ends(context):
                return _lost_data(name, event.returncode)
            return [_failure(name, event.returncode)]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=died))

    return [handler(name, node) for name, node in nodes.items()]


def optional_nodes(
    nodes: Mapping[str, Node], meanwhile: str = WITHOUT_OPERATOR, run: Run | None = None
) -> list[RegisterEventHandler]:
    """Log when a node ends before the run; the node restarts and the run continues.

    Args:
        nodes: Nodes that respawn.
        meanwhile: What the robot does until then.
        run: The run.
    """
    run = run or Run()

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def ended(event: Any, context: LaunchContext) -> list[Action]:
            if run.ends(context):
                return _lost_data(name, event.returncode)
            return [LogInfo(msg=(
                f"{name} ended with exit code {event.returncode}: {meanwhile}; {name} restarts "
                f"in {RESPAWN_SECONDS:g} s"
            ))]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))

    return [handler(name, node) for name, node in nodes.items()]


def on_success(
    node: Action, name: str, actions: list[Action], run: Run | None = None
) -> RegisterEventHandler:
    """Do the actions when the process has ended with exit code 0; else end the launch with 1."""
    run = run or Run()

    def ended(event: Any, context: LaunchContext) -> list[Action]:
        if run.ends(context):
            return _lost_data(name, event.returncode)
        return [_failure(name, event.returncode)] if event.returncode else actions

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))


def _lost_data(name: str, code: int) -> list[Action]:
    """Fail the launch, although it is ending, if a node reports lost data."""
    return [_failure(name, code)] if code == EXIT_LOST else []


def _failure(name: str, code: int) -> OpaqueFunction:
    """An action that ends the launch with exit code 1 and the name of a node."""
    return raising(RuntimeError(f"{name} ended with exit code {code}: see its last lines above"))


def raising(error: Exception) -> OpaqueFunction:
    """An action that raises, which gives the launch exit code 1."""

    def fail(context: LaunchContext) -> None:
        raise error

    return OpaqueFunction(function=fail)
