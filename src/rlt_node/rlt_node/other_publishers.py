"""Finds other publishers of topics that only one node may publish, in the ROS graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.control.rejection import Rejection
from rlt_node.publishers import UNKNOWN, described, full_name, gid


class OtherPublishers:
    """Looks for publishers that a topic must not have, such as those that command the robot.

    A killed publisher stays in the graph until the middleware removes it, with Fast DDS's defaults
    after 20 s. A node that is started after the kill does not see it.
    """

    def __init__(self, node: Any, topics: Sequence[str], consequence: str) -> None:
        """Set up.

        Args:
            node: The only node that may publish the topics, each once.
            topics: Its topics, fully resolved.
            consequence: What another publisher leads to, for the message that names it.
        """
        self._node = node
        self._topics = topics
        self._consequence = consequence
        self._own = (node.get_namespace(), node.get_name())
        self._nameless: set[str] = set()

    def look(self) -> Rejection | None:
        """Which other nodes publish the topics, and the consequence; None if there are none.

        A publisher without a name counts from the second look on: most have a name by then.
        """
        nameless, self._nameless = self._nameless, set()
        conflict = None
        for topic in self._topics:
            rivals = self._rivals(self._node.get_publishers_info_by_topic(topic))
            self._nameless |= {gid(each) for each in rivals if each.node_name == UNKNOWN}
            certain = [each for each in rivals if gid(each) not in self._nameless - nameless]
            if certain:
                conflict = conflict or Rejection(
                    "rival",
                    f"{topic} is also published by {' and by '.join(map(described, certain))}: "
                    f"stop that node or remap its topic; {self._consequence}",
                )
        return conflict

    def _rivals(self, publishers: Sequence[Any]) -> Sequence[Any]:
        """Publishers of other nodes; also all with our own name, if there are several."""
        own = [each for each in publishers if full_name(each) == self._own]
        others = [each for each in publishers if full_name(each) != self._own]
        return others + (own if len(own) > 1 else [])

