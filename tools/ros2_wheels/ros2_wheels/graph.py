"""A short-lived node that looks at the ROS graph."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ros2_wheels.errors import CommandError

if TYPE_CHECKING:  # imported when a node is made, so that `ros2 --help` and `ros2 run` start fast
    from rclpy.node import Node

DISCOVERY_S = 5.0  # how long discovery may take: missed announcements are repeated after 3 s
REPEAT_S = 3.5  # by then every announcement was sent twice
QUIET_S = 0.5  # a graph that has not changed for this long counts as complete

Found = TypeVar("Found")


@contextmanager
def temporary_node() -> "Iterator[Node]":
    """Yield a hidden node, and shut ROS down afterwards."""
    import rclpy
    from rclpy.node import Node

    rclpy.init()
    node = Node(f"_ros2cli_{os.getpid()}", start_parameter_services=False, enable_rosout=False)
    try:
        yield node
    except Exception:
        # Ctrl-C shuts ROS down under whatever is waiting, which then fails in its own way.
        if rclpy.ok():
            raise
        raise KeyboardInterrupt from None
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def wait_for(look: Callable[[], Found | None], timeout_s: float = DISCOVERY_S) -> Found | None:
    """Call `look` until it returns something true or the time is up; return what it returned."""
    end = time.monotonic() + timeout_s
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def settle(node: "Node") -> None:
    """Wait until the first other node is discovered and the graph has stopped changing."""
    wait_for(lambda: full_node_names(node))
    seen: object = None
    start = since = time.monotonic()
    while time.monotonic() < min(max(since + QUIET_S, start + REPEAT_S), start + DISCOVERY_S):
        now = (
            sorted(node.get_node_names_and_namespaces()),
            sorted(node.get_topic_names_and_types()),
            sorted(node.get_service_names_and_types()),
        )
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.02)


def absolute(name: str) -> str:
    """A name as the graph shows it, with a leading slash."""
    return name if name.startswith("/") else "/" + name


def is_hidden(name: str) -> bool:
    """Whether a part of the name starts with an underscore."""
    return any(part.startswith("_") for part in name.split("/"))


def full_node_names(node: "Node", hidden: bool = False) -> list[str]:
    """The names of all nodes, with their namespaces, sorted."""
    names = (
        f"{namespace.rstrip('/')}/{name}"
        for name, namespace in node.get_node_names_and_namespaces()
    )
    return sorted(name for name in names if hidden or not is_hidden(name))


def require_node(node: "Node", name: str) -> str:
    """Wait for a node to be discovered; return its full name.

    Raises:
        CommandError: it does not appear.
    """
    full = absolute(name)
    if not wait_for(lambda: full in full_node_names(node, hidden=True)):
        running = ", ".join(full_node_names(node)) or "none"
        raise CommandError(f"node '{full}' not found; running: {running}")
    return full


def split_node_name(full: str) -> tuple[str, str]:
    """Split a full node name into (name, namespace)."""
    namespace, _, name = full.rpartition("/")
    return name, namespace or "/"
