"""Who hears the robot's commands: what nobody hears was not executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.gate import Rejection

SPECTATORS = ("_ros2cli_", "rosbag2_")
"""Names of nodes that listen to any topic and drive no robot begin so."""


class Audience:
    """Looks for a driver behind each command topic: without one, the robot does not move.

    Args:
        node: The node that commands the robot.
        publishers: Publishers of its commands.
    """

    def __init__(self, node: Any, publishers: Sequence[Any]) -> None:
        self._node = node
        self._publishers = publishers
        self._counts = [0] * len(publishers)
        self._doubted: set[str] = set()

    def look(self) -> Rejection | None:
        """Why commands cannot reach the robot now; None if a driver hears each of them.

        Where there may be spectators alone, that counts from the second look on: one that comes or
        goes is not in the graph and among those who hear at the same moment.
        """
        doubted, self._doubted = self._doubted, set()
        self._counts = [each.get_subscription_count() for each in self._publishers]
        found = None
        for publisher, count in zip(self._publishers, self._counts, strict=True):
            topic = publisher.topic_name
            listeners = self._node.get_subscriptions_info_by_topic(topic)
            drivers = [each for each in listeners if not each.node_name.startswith(SPECTATORS)]
            if count <= len(listeners) - len(drivers):
                self._doubted.add(topic)
            if count == 0 or topic in self._doubted & doubted:
                found = found or Rejection("unheard", _unheard(topic, publisher, drivers))
        return found

    def changed(self) -> bool:
        """Whether others hear a topic than at the last look; cheap enough for every tick."""
        return [each.get_subscription_count() for each in self._publishers] != self._counts


def _unheard(topic: str, publisher: Any, misfits: Sequence[Any]) -> str:
    """Say that nobody hears a topic, and who subscribes to it in vain."""
    if not misfits:
        return (
            f"no driver hears {topic}: start the robot's driver or remap the topic; the controller "
            "holds until one does"
        )
    names = " and ".join(
        f"{each.node_namespace}/{each.node_name}".replace("//", "/")
        + f" ({each.topic_type}, {_quality(each.qos_profile)})"
        for each in misfits
    )
    return (
        f"no driver hears {topic}: {names} subscribes to it, but type or quality of service do not "
        f"fit what is sent ({_quality(publisher.qos_profile)}): change that subscription; the "
        "controller holds until it fits"
    )


def _quality(profile: Any) -> str:
    return f"{profile.reliability.name}, {profile.durability.name}"
