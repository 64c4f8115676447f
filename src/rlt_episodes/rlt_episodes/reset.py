"""Resets of the robot: one request, one answer, and one error sentence if there is none.

The action is called through the two service clients that it consists of. rclpy's `ActionClient`
ends the process with a segmentation fault where a second server accepts the same goal: it raises in
a task of the executor. An ordinary client drops an answer that is not awaited.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from rlt_interfaces.action import Reset
from rlt_node import qos
from rlt_node.fault_log import Fault, FaultLog
from rlt_node.node import FailFastNode
from rlt_node.process import NodeError
from rlt_node.service_servers import several_servers

ABSENT = "the robot's reset action"
NAMES_S = 1.0
"""How long the servers of the action must stay the same to be logged: names are known last."""


class RobotReset:
    """Calls the action `reset` of the one node that offers it; a reset that fails ends the node.

    While two nodes offer it nothing is sent: each would move the robot, and any of them could
    answer. If a second one appears during a reset, the goal's result is requested again as soon as
    only one server is left; a server that does not know the goal, such as another or a restarted
    one, gets the goal again.

    Attributes:
        obstacle: What keeps a reset from being requested, empty if nothing does; see `pursue`.
    """

    def __init__(self, node: FailFastNode, on_done: Callable[[int], None]) -> None:
        """Connect.

        Args:
            node: The node that requests resets.
            on_done: Called with the episode's first tick after each reset that succeeded.
        """
        self.obstacle = ABSENT
        self._node = node
        self._on_done = on_done
        kinds = Reset.Impl
        self._goals = node.create_client(kinds.SendGoalService, "reset/_action/send_goal")
        self._results = node.create_client(kinds.GetResultService, "reset/_action/get_result")
        # By this subscription `ros2 action info` finds the callers of an action.
        node.create_subscription(
            kinds.FeedbackMessage, "reset/_action/feedback", lambda _: None, qos.SENSOR
        )
        self._fault_log = FaultLog(node.get_logger())
        self._seen = ("", 0.0)  # several servers of it, and since when
        self._asked_at: float | None = None
        self._wanted: Reset.Goal | None = None
        self._goal_id: UUID | None = None  # of the goal that was sent; None: not sent yet
        self._awaited: Future | None = None  # the one answer that counts

    def ask(self, seed: int, tick_multiple: int) -> None:
        """Reset for an episode with this seed, which begins on a multiple of a tick."""
        self._asked_at = time.monotonic()
        self._wanted = Reset.Goal(seed=seed, tick_multiple=tick_multiple)
        self.pursue()

    def pursue(self) -> None:
        """Check who offers the action, and send what is due; call it repeatedly."""
        self.obstacle = self._look()
        if self.obstacle:
            self._awaited = None  # an answer may now come from another server
        elif self._wanted is not None and self._awaited is None:
            if self._goal_id is None:
                self._send_goal()
            else:
                self._send_for_result()

    def check(self, silence_s: float) -> None:
        """Refuse to wait longer than `silence_s` for the answer.

        Raises:
            NodeError: Naming the simulator, the only robot that resets within seconds.
        """
        if self._asked_at is not None and time.monotonic() - self._asked_at > silence_s:
            raise NodeError(
                f"the simulator has not answered the action reset within {silence_s:g} s: check "
                "that node"
            )

    def _look(self) -> str:
        """What keeps a reset from being requested; logs a second server once it is named."""
        rivals, now = self._rivals(), time.monotonic()
        if rivals != self._seen[0]:
            self._seen = rivals, now
        if rivals:
            obstacle = (
                f"a single server of the action reset, which {rivals} offer: end all but the "
                "robot's own"
            )
            if now - self._seen[1] > NAMES_S:
                said = f"no reset is requested: waiting for {obstacle}"
                self._fault_log.report(Fault(rivals, "reset", said), now)
            return obstacle
        ready = self._goals.service_is_ready() and self._results.service_is_ready()
        return "" if ready else ABSENT

    def _rivals(self) -> str:
        return several_servers(self._node, self._goals.service_name)

    def _send_goal(self) -> None:
        self._goal_id = UUID(uuid=list(uuid.uuid4().bytes))
        request = Reset.Impl.SendGoalService.Request(goal_id=self._goal_id, goal=self._wanted)
        self._await(self._goals, request, self._on_accepted)

    def _send_for_result(self) -> None:
        request = Reset.Impl.GetResultService.Request(goal_id=self._goal_id)
        self._await(self._results, request, self._on_result)

    def _await(self, client: Any, request: Any, answered: Callable[[Any], None]) -> None:
        """Send a request; its answer counts unless another one is awaited by then."""
        awaited = self._awaited = client.call_async(request)

        def answer(future: Future) -> None:
            if future is not self._awaited:
                return
            self._awaited = None
            if not self._rivals():
                answered(future.result())

        awaited.add_done_callback(self._node.fail_fast(answer))

    def _on_accepted(self, answer: Any) -> None:
        if not answer.accepted:
            raise NodeError("the robot refused to reset: check its driver")
        self.pursue()

    def _on_result(self, answer: Any) -> None:
        result = answer.result
        if answer.status == GoalStatus.STATUS_UNKNOWN:
            self._node.get_logger().warning(
                "the robot's reset action does not know the requested reset: it is requested again",
                throttle_duration_sec=10.0,
            )
            self._goal_id = None
            return
        self._asked_at = self._wanted = self._goal_id = None
        if answer.status != GoalStatus.STATUS_SUCCEEDED or result.error_code != Reset.Goal.NONE:
            raise NodeError(
                f"the reset failed (goal status {answer.status}, error code {result.error_code}): "
                f"{result.error_msg or 'the robot gives no reason'}; check its driver"
            )
        self._on_done(result.start_tick)
