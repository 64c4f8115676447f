"""Handlers of the events that occur in a launch."""

from collections.abc import Callable
from typing import Any

from launch.action import Action
from launch.event import Event
from launch.event_handler import EventHandler
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.subset import refuse_missing, refuse_unknown


class OnProcessExit(EventHandler):
    """Answers the end of a process, clean or not.

    Args:
        target_action: the ExecuteProcess or Node, or a function of it; None: any process.
        on_exit: actions, or a function of event and context that returns them.
    """

    def __init__(
        self,
        *,
        target_action: Action | Callable[[Action], bool] | None = None,
        on_exit: Any,
        **unknown: object,
    ) -> None:
        refuse_unknown(self, unknown)

        def matcher(event: Event) -> bool:
            if not isinstance(event, ProcessExited):
                return False
            if target_action is None or isinstance(target_action, Action):
                return target_action in (None, event.action)
            return target_action(event.action)

        super().__init__(matcher=matcher, entities=on_exit)


class OnShutdown(EventHandler):
    """Answers the shutdown of the launch.

    Args:
        on_shutdown: actions, or a function of event and context that returns them.
    """

    def __init__(self, *, on_shutdown: Any, **unknown: object) -> None:
        refuse_unknown(self, unknown)
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown)


__getattr__ = refuse_missing(__name__)
