"""Asking the robot to reset: one request, one answer, and one sentence if there is none."""

from __future__ import annotations

import time
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.task import Future

from rlt_interfaces.action import Reset
from rlt_node.node import GuardedNode
from rlt_node.process import Refused


class RobotReset:
    """Calls the action `reset`; a reset that fails ends the node."""

    def __init__(self, node: GuardedNode, on_done: Callable[[int], None]) -> None:
        """Connect.

        Args:
            node: The node that asks.
            on_done: Called with the episode's first tick after each reset that succeeded.
        """
        self._node = node
        self._on_done = on_done
        self._client = ActionClient(node, Reset, "reset")
        self._asked_at: float | None = None

    def is_ready(self) -> bool:
        """Whether a robot offers the action."""
        return bool(self._client.server_is_ready())

    def ask(self, seed: int, tick_multiple: int) -> None:
        """Reset for an episode with this seed, which begins on a multiple of a tick."""
        self._asked_at = time.monotonic()
        goal = Reset.Goal(seed=seed, tick_multiple=tick_multiple)
        answered = self._node.guarded(self._on_accepted)
        self._client.send_goal_async(goal).add_done_callback(answered)

    def check(self, silence_s: float) -> None:
        """Refuse to wait longer than `silence_s` for the answer.

        Raises:
            Refused: Naming the simulator, the only robot that resets within seconds.
        """
        if self._asked_at is not None and time.monotonic() - self._asked_at > silence_s:
            raise Refused(
                f"the simulator has not answered the action reset within {silence_s:g} s: check "
                "that node"
            )

    def _on_accepted(self, future: Future) -> None:
        handle = future.result()
        if not handle.accepted:
            raise Refused("the robot refused to reset: check its driver")
        handle.get_result_async().add_done_callback(self._node.guarded(self._on_result))

    def _on_result(self, future: Future) -> None:
        answer = future.result()
        result, self._asked_at = answer.result, None
        if answer.status != GoalStatus.STATUS_SUCCEEDED or result.error_code != Reset.Goal.NONE:
            raise Refused(
                f"the reset failed (goal status {answer.status}, error code {result.error_code}): "
                f"{result.error_msg or 'the robot does not say why'}; check its driver"
            )
        self._on_done(result.start_tick)
