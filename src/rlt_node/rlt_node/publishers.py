"""The publishers of a topic, from the ROS graph."""

from __future__ import annotations

from typing import Any

UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""Name of a publisher whose node is not known yet, or that does not belong to a ROS node."""


def several_publishers(node: Any, topic: str) -> list[str]:
    """The names of a topic's publishers if there are several, else empty; cheap in that case.

    A killed one stays until the middleware removes it, with Fast DDS's defaults after 20 s.
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
    """A publisher for messages: its node and its GID."""
    if publisher.node_name == UNKNOWN:
        return f"a publisher without a ROS node (GID {gid(publisher)})"
    return f"{'/'.join(full_name(publisher)).replace('//', '/')} (GID {gid(publisher)})"
