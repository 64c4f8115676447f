"""Others that say what one node alone may say: found in the ROS graph, by their publishers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.gate import Rejection
from rlt_node.publishers import UNKNOWN, described, full_name, gid


class Rivals:
    """Looks for publishers that a topic must not have, such as those that command the robot.

    A rival that is killed stays in the graph until the middleware gives it up, with Fast DDS's
    defaults after 20 s. A node that is started after such a rival never hears of it.

    Args:
        node: The node that alone may publish there, each topic once.
        topics: Its topics, fully resolved.
        consequence: What comes of a rival, for the sentence that names it.
    """

    def __init__(self, node: Any, topics: Sequence[str], consequence: str) -> None:
        self._node = node
        self._topics = topics
        self._consequence = consequence
        self._own = (node.get_namespace(), node.get_name())
        self._nameless: set[str] = set()

    def look(self) -> Rejection | None:
        """Who else publishes there, and what comes of it; None if nobody does.

        A publisher without a name counts from the second look on: most get one in between.
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
                    f"{topic} is published by {' and by '.join(map(described, certain))}, too: end "
                    f"that node or remap its topic; {self._consequence}",
                )
        return conflict

    def _rivals(self, publishers: Sequence[Any]) -> Sequence[Any]:
        """Publishers of other nodes; all of our own name, if there is more than one of them."""
        own = [each for each in publishers if full_name(each) == self._own]
        others = [each for each in publishers if full_name(each) != self._own]
        return others + (own if len(own) > 1 else [])

