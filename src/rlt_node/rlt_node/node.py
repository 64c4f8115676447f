"""The node class of the suite: a callback that cannot go on ends the process in one sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from rlt_node.bounded import QUIET_SECONDS, UNLIMITED, Bounded
from rlt_node.notices import Notices
from rlt_node.process import FORESEEN, Finished


class Guarded:
    """Mixin for rclpy nodes: foreseen errors of callbacks become the node's `ending`.

    Attributes:
        ending: Why the process shall end, None while it works; see `process.run`.
    """

    ending: Exception | None = None

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, with its foreseen errors kept as the node's ending."""

        @functools.wraps(callback)
        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except (Finished, *FORESEEN) as error:
                self.ending = self.ending or error

        return call

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back once the callbacks of everything that has already arrived were called."""

        def call() -> None:
            try:
                callback()
            except Exception as error:  # one that leaves a task crashes rclpy's EventsExecutor
                self.ending = self.ending or error

        executor: Any = self.executor  # type: ignore[attr-defined]
        executor.create_task(call)

    def create_subscription(
        self, kind: Any, topic: str, callback: Callable[..., Any], profile: Any, **options: Any
    ) -> Any:
        """As rclpy's, guarded, and bounded: what is too large is dropped as the bytes that came."""
        parent: Any = super()
        if not options.get("raw") and kind not in UNLIMITED:
            notices = Notices(parent.get_logger(), QUIET_SECONDS)
            callback, options["raw"] = Bounded(kind, topic, callback, notices), True
        return parent.create_subscription(
            kind, topic, self.guarded(callback), profile, **options
        )

    def create_timer(self, period: float, callback: Callable[..., Any], **options: Any) -> Any:
        """As rclpy's, guarded, and steady: a timer of rclpy's stands still while its clock is back.

        Whoever sets the wall clock back by an hour, or pauses simulated time, stops no node.
        """
        parent: Any = super()
        steady = {"clock": Clock(clock_type=ClockType.STEADY_TIME)} | options
        return parent.create_timer(period, self.guarded(callback), **steady)


class GuardedNode(Guarded, Node):
    """An ordinary node with guarded callbacks."""
