"""The base of all conditions."""

from collections.abc import Callable

from launch.launch_context import LaunchContext


class Condition:
    """Whether an action runs; a function of the context decides."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool]) -> None:
        self._predicate = predicate

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the action runs in this context."""
        return self._predicate(context)
