"""Runs a launch description: actions, events, processes, until all is done or shut down."""

import asyncio
import shutil
import signal
import tempfile
import traceback
from collections import deque
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from launch.action import Action
from launch.console import Console
from launch.event import Event
from launch.event_handler import EventHandler
from launch.events import Shutdown
from launch.events.process import ShutdownProcess
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.process import Process


class LaunchService:
    """A launch.

    Args:
        debug: show the traceback of an exception, not only its text.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self.context = LaunchContext(service=self)
        self.is_shutting_down = False
        self.handlers: list[EventHandler] = []
        self._debug = debug
        self._description = LaunchDescription()
        self._events: deque[Event] = deque()
        self._handling = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._processes: set[Process] = set()
        self._counter = 0
        self._return_code = 0

    def include_launch_description(self, description: LaunchDescription) -> None:
        """Add the actions of a description to those that `run` executes."""
        self._description.entities.extend(description.entities)

    def run(self) -> int:
        """Execute the actions and stay until every process has ended.

        Returns:
            0 also after Ctrl-C; 1 where an action raised an exception.
        """
        self.console = Console()
        self.folder = Path(tempfile.mkdtemp(prefix="launch_"))
        try:
            return asyncio.run(self._run())
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.console.close()

    def next_number(self) -> int:
        """The number of the next process: its name is `executable-number`."""
        self._counter += 1
        return self._counter

    def emit(self, event: Event) -> None:
        """Let the handlers answer an event, after those that were emitted before it."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._handling = False

    def execute(self, entities: Iterable[Action]) -> None:
        """Execute actions, each with those that follow from it; an exception ends the launch."""
        try:
            self._visit(entities)
        except Exception as error:
            self._fail(error)

    def start(self, process: Process) -> None:
        """Run a process of this launch."""
        self._processes.add(process)
        self.add_task(process.run()).add_done_callback(lambda _: self._processes.discard(process))

    def add_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine; the launch lasts as long as it does. An exception ends the launch."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                self._fail(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        self.shutdown = asyncio.Event()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self._interrupt, sign)
        self.execute(self._description.entities)
        await self._until_idle()
        self.emit(Shutdown(reason="idle"))
        await self._until_idle()
        return self._return_code

    async def _until_idle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _visit(self, entities: Iterable[Action]) -> None:
        for entity in entities:
            self._visit(entity.visit(self.context))

    def _handle(self, event: Event) -> None:
        if isinstance(event, Shutdown):
            if self.is_shutting_down:
                return
            self.is_shutting_down = True
        for handler in list(self.handlers):
            try:
                answer = handler.handle(event, self.context) if handler.matches(event) else []
            except Exception as error:
                self._fail(error)
            else:
                self.execute(answer)
        if isinstance(event, Shutdown):
            self.shutdown.set()
        for process in self._processes:
            if isinstance(event, Shutdown) or (
                isinstance(event, ShutdownProcess) and event.process_matcher(process.action)
            ):
                process.stop()

    def _fail(self, error: Exception) -> None:
        if self._debug:
            self.console.error("launch", "".join(traceback.format_exception(error)))
        self.console.error(
            "launch", f"Caught exception in launch (see debug for traceback): {error}"
        )
        self._return_code = 1
        self.emit(Shutdown(reason=f"Caught exception in launch: {error}"))

    def _interrupt(self, sign: signal.Signals) -> None:
        """Shut down after Ctrl-C or SIGTERM; each further one escalates at once."""
        by = "ctrl-c (SIGINT)" if sign == signal.SIGINT else sign.name
        if self.is_shutting_down:
            self.console.warning("launch", f"user interrupted with {by} again, escalating...")
            for process in self._processes:
                process.hurry()
            return
        self.console.warning("launch", f"user interrupted with {by}")
        self.emit(Shutdown(reason=by, due_to_sigint=sign == signal.SIGINT))
