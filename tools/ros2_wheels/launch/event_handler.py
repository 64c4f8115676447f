"""The base of all event handlers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.event import Event

if TYPE_CHECKING:
    from launch.action import Action
    from launch.launch_context import LaunchContext


class EventHandler:
    """Answers the events that match with actions.

    Args:
        matcher: whether an event concerns this handler.
        entities: the actions, or a function of event and context that returns them.
    """

    def __init__(
        self,
        *,
        matcher: Callable[[Event], bool],
        entities: "Action | list[Action] | Callable[..., list[Action] | Action | None]",
    ) -> None:
        self.matches = matcher
        self._entities = entities

    def handle(self, event: Event, context: "LaunchContext") -> "list[Action]":
        """The actions that answer this event."""
        entities = self._entities
        answer = entities(event, context) if callable(entities) else entities
        if answer is None:
            return []
        return list(answer) if isinstance(answer, (list, tuple)) else [answer]
