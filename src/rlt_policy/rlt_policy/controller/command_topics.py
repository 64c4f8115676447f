"""Checks the robot's command topics: one node may publish there, and a driver must subscribe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.control.rejection import Rejection
from rlt_node.other_publishers import OtherPublishers
from rlt_policy.controller.listeners import Listeners


class CommandTopics:
    """Watches for other publishers of the robot's commands, and for drivers that receive ours."""

    def __init__(self, node: Any, publishers: Sequence[Any]) -> None:
        """Set up.

        Args:
            node: The node that commands the robot.
            publishers: Publishers of its commands.
        """
        topics = [each.topic_name for each in publishers]
        self._rivals = OtherPublishers(node, topics, "the controller holds until it is gone")
        self._listeners = Listeners(node, publishers)
        self._rival: Rejection | None = None
        self._unheard = self._listeners.look()

    def look(self) -> None:
        """Look at the ROS graph; to be called now and then."""
        self._rival, self._unheard = self._rivals.look(), self._listeners.look()

    def blocked_by(self) -> Rejection | None:
        """Why the robot must not move at this tick, None if it may; to be called at every tick."""
        if self._listeners.changed():
            self._unheard = self._listeners.look()
        return self._rival or self._unheard
