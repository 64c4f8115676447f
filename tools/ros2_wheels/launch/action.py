"""The base of all actions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launch.subset import refuse_unknown

if TYPE_CHECKING:
    from launch.condition import Condition
    from launch.launch_context import LaunchContext


class Action:
    """Something that the launch does if its condition holds.

    Args:
        condition: whether to execute it, decided when the action is reached; None: always.
    """

    def __init__(self, *, condition: "Condition | None" = None, **unknown: object) -> None:
        refuse_unknown(self, unknown)
        self.condition = condition

    def visit(self, context: "LaunchContext") -> "Iterable[Action]":
        """Execute the action if its condition holds; returns the actions that follow from it."""
        if self.condition is not None and not self.condition.evaluate(context):
            return []
        return self.execute(context) or []

    def execute(self, context: "LaunchContext") -> "Iterable[Action] | None":
        """Execute the action."""
        raise NotImplementedError

    def describe_sub_entities(self) -> "Iterable[Action]":
        """The actions inside this one, as far as they are known before the launch runs."""
        return []
