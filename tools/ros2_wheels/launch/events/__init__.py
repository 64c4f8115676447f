"""Events of a launch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.event import Event
from launch.subset import refuse_missing

if TYPE_CHECKING:
    from launch.action import Action


class Shutdown(Event):
    """The launch ends: every process is asked to stop."""

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


def matches_action(target_action: "Action") -> "Callable[[Action], bool]":
    """A matcher of events that are meant for one process: the one of this action."""
    return lambda action: action is target_action


__getattr__ = refuse_missing(__name__)
