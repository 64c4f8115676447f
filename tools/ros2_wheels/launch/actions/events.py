"""Actions for events, timers and log messages."""

import asyncio
from collections.abc import Iterable

from launch.action import Action
from launch.condition import Condition
from launch.event import Event
from launch.event_handler import EventHandler
from launch.events import Shutdown as ShutdownEvent
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import perform


class RegisterEventHandler(Action):
    """Add a handler that answers events from now on."""

    def __init__(self, event_handler: EventHandler, *, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self.event_handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        """Register it."""
        context.service.handlers.append(self.event_handler)


class EmitEvent(Action):
    """Emit an event."""

    def __init__(self, *, event: Event, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self.event = event

    def execute(self, context: LaunchContext) -> None:
        """Emit it."""
        context.service.emit(self.event)


class Shutdown(EmitEvent):
    """End the launch: every process is asked to stop."""

    def __init__(
        self, *, reason: str = "reason not given", condition: Condition | None = None
    ) -> None:
        super().__init__(event=ShutdownEvent(reason=reason), condition=condition)


class LogInfo(Action):
    """Log a message."""

    def __init__(self, *, msg: SomeSubstitutionsType, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self.msg = msg

    def execute(self, context: LaunchContext) -> None:
        """Log it."""
        context.service.console.info("launch.user", perform(context, self.msg))


class TimerAction(Action):
    """Actions after a delay; none if the launch is shut down before.

    Args:
        period: in seconds; a number or text.
        actions: executed when the time is over.
        condition: whether the timer is started.
    """

    def __init__(
        self,
        *,
        period: float | SomeSubstitutionsType,
        actions: Iterable[Action],
        condition: Condition | None = None,
        **unknown: object,
    ) -> None:
        super().__init__(condition=condition, **unknown)
        self.period = period
        self.actions = list(actions)

    def execute(self, context: LaunchContext) -> None:
        """Start the timer."""
        context.service.add_task(self._wait(context, float(perform(context, self.period))))

    async def _wait(self, context: LaunchContext, seconds: float) -> None:
        try:
            await asyncio.wait_for(context.service.shutdown.wait(), seconds)
        except asyncio.TimeoutError:  # noqa: UP041 (another class before Python 3.11)
            context.service.execute(self.actions)

    def describe_sub_entities(self) -> list[Action]:
        """The actions that wait."""
        return self.actions
