"""The list of actions that a launch file returns."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.action import Action
    from launch.actions import DeclareLaunchArgument


class LaunchDescription:
    """What a launch file describes: actions, in the order in which they are executed."""

    def __init__(self, initial_entities: "Iterable[Action] | None" = None) -> None:
        self.entities: list[Action] = list(initial_entities or [])

    def add_action(self, action: "Action") -> None:
        """Append an action."""
        self.entities.append(action)

    def get_launch_arguments(self) -> "list[DeclareLaunchArgument]":
        """The arguments that the description declares, nested ones included, each name once."""
        return list({argument.name: argument for argument in _arguments(self.entities)}.values())


def _arguments(entities: "Iterable[Action]") -> "Iterator[DeclareLaunchArgument]":
    from launch.actions import DeclareLaunchArgument

    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            yield entity
        yield from _arguments(entity.describe_sub_entities())
