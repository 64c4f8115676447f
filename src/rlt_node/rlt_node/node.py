"""The node class of the suite: an error in a callback ends the process with one sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from rlt_node.fault_log import FaultLog
from rlt_node.process import FORESEEN, Finished
from rlt_node.size_limits import QUIET_SECONDS, UNLIMITED, Bounded


class FailFast:
    """Mixin for rclpy nodes: expected errors of callbacks become the node's `exit_reason`.

    Attributes:
        exit_reason: Why the process shall end, None while it works; see `process.run`.
    """

    exit_reason: Exception | None = None

    def fail_fast(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, with its expected errors stored as the node's `exit_reason`."""

        @functools.wraps(callback)
        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except (Finished, *FORESEEN) as error:
                self.exit_reason = self.exit_reason or error

        return call

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the callbacks of all messages that have already arrived."""

        def call() -> None:
            try:
                callback()
            except Exception as error:  # in a task it would crash rclpy's EventsExecutor
                self.exit_reason = self.exit_reason or error

        executor: Any = self.executor  # type: ignore[attr-defined]
        executor.create_task(call)

    def create_subscription(
        self, kind: Any, topic: str, callback: Callable[..., Any], profile: Any, **options: Any
    ) -> Any:
        """As in rclpy, with `fail_fast`; too large messages are dropped, see `size_limits`."""
        parent: Any = super()
        if not options.get("raw") and kind not in UNLIMITED:
            fault_log = FaultLog(parent.get_logger(), QUIET_SECONDS)
            callback, options["raw"] = Bounded(kind, topic, callback, fault_log), True
        return parent.create_subscription(
            kind, topic, self.fail_fast(callback), profile, **options
        )

    def create_timer(self, period: float, callback: Callable[..., Any], **options: Any) -> Any:
        """As in rclpy, with `fail_fast` and a steady clock.

        Timers of other clocks stop while the wall clock is set back or simulated time is paused.
        """
        parent: Any = super()
        steady = {"clock": Clock(clock_type=ClockType.STEADY_TIME)} | options
        return parent.create_timer(period, self.fail_fast(callback), **steady)


class FailFastNode(FailFast, Node):
    """An ordinary node whose callbacks use `fail_fast`."""
