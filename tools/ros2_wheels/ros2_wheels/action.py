"""`ros2 action`: list."""

import argparse
from collections.abc import Iterable
from typing import Any

from ros2_wheels.graph import settle, temporary_node
from ros2_wheels.parser import add_verbs

GOAL_SERVICE = "/_action/send_goal"
GOAL_TYPE = "_SendGoal"


def add_to(commands: Any) -> None:
    """Add `action` and its verb to the commands."""
    verbs = add_verbs(commands, "action", help="actions")
    parser = verbs.add_parser("list", help="names of all actions")
    parser.add_argument("-t", "--show-types", action="store_true")
    parser.add_argument("-c", "--count-actions", action="store_true")
    parser.set_defaults(run=list_actions)


def actions_of(services: Iterable[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The actions among services: every action has one service that takes its goals."""
    return [
        (name.removesuffix(GOAL_SERVICE), [kind.removesuffix(GOAL_TYPE) for kind in types])
        for name, types in services
        if name.endswith(GOAL_SERVICE)
    ]


def list_actions(arguments: argparse.Namespace) -> None:
    """Print the actions of all nodes."""
    with temporary_node() as node:
        settle(node)
        actions = sorted(actions_of(node.get_service_names_and_types()))
    if arguments.count_actions:
        print(len(actions))
        return
    for name, types in actions:
        print(f"{name} [{', '.join(types)}]" if arguments.show_types else name)
