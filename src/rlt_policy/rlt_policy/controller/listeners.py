"""Checks that a driver receives the robot's commands: without one they are not executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlt_core.control.rejection import Rejection

SPECTATORS = ("_ros2cli_", "rosbag2_")
"""Name prefixes of nodes that subscribe to any topic but do not drive a robot."""


class Listeners:
    """Looks for a driver behind each command topic: without one, the robot does not move."""

    def __init__(self, node: Any, publishers: Sequence[Any]) -> None:
        """Set up.

        Args:
            node: The node that commands the robot.
            publishers: Publishers of its commands.
        """
        self._node = node
        self._publishers = publishers
        self._counts = [0] * len(publishers)
        self._doubted: set[str] = set()

    def look(self) -> Rejection | None:
        """Why commands cannot reach the robot now; None if a driver receives each of them.

        A topic with spectators only is reported from the second look on: when a node comes or
        goes, the graph and the subscription count do not change at the same moment.
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
        """Whether a subscription count changed since the last look; cheap enough for every tick."""
        return [each.get_subscription_count() for each in self._publishers] != self._counts


def _unheard(topic: str, publisher: Any, misfits: Sequence[Any]) -> str:
    """Report that no driver receives a topic, and which subscriptions do not match it."""
    if not misfits:
        return (
            f"no driver receives {topic}: start the robot's driver or remap the topic; the "
            "controller holds until one does"
        )
    names = " and ".join(
        f"{each.node_namespace}/{each.node_name}".replace("//", "/")
        + f" ({each.topic_type}, {_quality(each.qos_profile)})"
        for each in misfits
    )
    return (
        f"no driver receives {topic}: {names} subscribes to it, but type or quality of service do "
        f"not match the publisher ({_quality(publisher.qos_profile)}): change that subscription; "
        "the controller holds until it matches"
    )


def _quality(profile: Any) -> str:
    return f"{profile.reliability.name}, {profile.durability.name}"
