"""Who publishes a topic, as the ROS graph tells."""

from __future__ import annotations

from typing import Any

UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""The name of a publisher whose node is not known yet, or that belongs to no ROS node."""


def several_publishers(node: Any, topic: str) -> list[str]:
    """The names of a topic's publishers if there are more than one: cheap to ask if there are not.

    One that was killed stays until the middleware gives it up, with Fast DDS's defaults after 20 s.
    """
    name = node.resolve_topic_name(topic)
    if node.count_publishers(name) < 2:
        return []
    return sorted(map(described, node.get_publishers_info_by_topic(name)))


def full_name(publisher: Any) -> tuple[str, str]:
    """Namespace and name of a publisher's node."""
    return publisher.node_namespace, publisher.node_name


def gid(publisher: Any) -> str:
    """The GID of a publisher, as `ros2 topic info --verbose` prints it."""
    return ".".join(f"{octet:02x}" for octet in publisher.endpoint_gid)


def described(publisher: Any) -> str:
    """A publisher in a sentence: its node and its GID."""
    if publisher.node_name == UNKNOWN:
        return f"what is no ROS node (GID {gid(publisher)})"
    return f"{'/'.join(full_name(publisher)).replace('//', '/')} (GID {gid(publisher)})"
