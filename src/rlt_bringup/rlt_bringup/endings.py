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
NOBODY = "the robot holds while nobody can take over"
UNTAUGHT = "the robot acts on with its last weights"


@dataclass
class Run:
    """Whether a graph's run is over, while the launch may go on with those of other graphs."""

    over: bool = False

    def ends(self, context: LaunchContext) -> bool:
        """Whether the graph's nodes are to end."""
        return self.over or bool(context.is_shutdown)


def required(nodes: Mapping[str, Node], run: Run | None = None) -> list[RegisterEventHandler]:
    """End the launch with exit code 1 and a name when one of the nodes ends before the run."""
    run = run or Run()

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def died(event: Any, context: LaunchContext) -> list[Action]:
            if run.ends(context):
                return _last_word(name, event.returncode)
            return [_failure(name, event.returncode)]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=died))

    return [handler(name, node) for name, node in nodes.items()]


def expendable(
    nodes: Mapping[str, Node], meanwhile: str = NOBODY, run: Run | None = None
) -> list[RegisterEventHandler]:
    """Say when one of the nodes ends before the run; it is started again, and the run goes on.

    Args:
        nodes: Nodes that respawn.
        meanwhile: What the robot does until then.
        run: The run.
    """
    run = run or Run()

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def ended(event: Any, context: LaunchContext) -> list[Action]:
            if run.ends(context):
                return _last_word(name, event.returncode)
            return [LogInfo(msg=(
                f"{name} ended with exit code {event.returncode}: {meanwhile}; {name} starts again "
                f"in {RESPAWN_SECONDS:g} s"
            ))]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))

    return [handler(name, node) for name, node in nodes.items()]


def finally_(
    node: Action, name: str, then: list[Action], run: Run | None = None
) -> RegisterEventHandler:
    """Do `then` when the process has ended with exit code 0; else end the launch with 1."""
    run = run or Run()

    def ended(event: Any, context: LaunchContext) -> list[Action]:
        if run.ends(context):
            return _last_word(name, event.returncode)
        return [_failure(name, event.returncode)] if event.returncode else then

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))


def _last_word(name: str, code: int) -> list[Action]:
    """Fail the launch, although it is ending, for a node that says that something is lost."""
    return [_failure(name, code)] if code == EXIT_LOST else []


def _failure(name: str, code: int) -> OpaqueFunction:
    """An action that ends the launch with exit code 1 and the name of a node."""
    return raising(RuntimeError(f"{name} ended with exit code {code}: see its last lines above"))


def raising(error: Exception) -> OpaqueFunction:
    """An action that raises: that is how a launch gets exit code 1."""

    def fail(context: LaunchContext) -> None:
        raise error

    return OpaqueFunction(function=fail)
