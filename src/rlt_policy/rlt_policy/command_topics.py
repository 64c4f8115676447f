"""Both ends of the robot's command topics: one node may publish there, and a driver must hear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.gate import Rejection
from rlt_node.rivals import Rivals
from rlt_policy.audience import Audience


class CommandTopics:
    """Keeps watch over who else commands the robot, and who hears that we do.

    Args:
        node: The node that commands the robot.
        publishers: Publishers of its commands.
    """

    def __init__(self, node: Any, publishers: Sequence[Any]) -> None:
        topics = [each.topic_name for each in publishers]
        self._rivals = Rivals(node, topics, "the controller holds until it is gone")
        self._audience = Audience(node, publishers)
        self._rival: Rejection | None = None
        self._unheard = self._audience.look()

    def look(self) -> None:
        """Look at the ROS graph: now and then."""
        self._rival, self._unheard = self._rivals.look(), self._audience.look()

    def conflict(self) -> Rejection | None:
        """Why the robot must not be moved at this tick, None if it may: at every tick."""
        if self._audience.changed():
            self._unheard = self._audience.look()
        return self._rival or self._unheard
