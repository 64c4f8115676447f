"""Who offers a service: of a name that several nodes offer, each of them answers, and any wins."""

from __future__ import annotations

import contextlib
from typing import Any

from rclpy.node import NodeNameNonExistentError


def rival_servers(node: Any, service: str) -> str:
    """Who offers a service that one node alone may offer.

    A node that is killed stays in the graph until the middleware gives it up, with Fast DDS's
    defaults after 20 s.

    Args:
        node: The node that asks.
        service: Fully resolved name of the service.

    Returns:
        Their names, in the order of the alphabet; empty where fewer than two offer it.
    """
    count = node.count_services(service)
    if count < 2:
        return ""
    names = sorted(_named_servers(node, service))
    nameless = [f"{count - len(names)} without a name"] * (count > len(names))
    return ", ".join(names + nameless)


def with_rivals(message: str, node: Any, client: Any) -> str:
    """What a service answered, and who else was asked, if more than one node offers it."""
    rivals = rival_servers(node, client.service_name)
    if not rivals:
        return message
    return (
        f"{message}; {client.service_name} is offered by {rivals}, and each was asked: end all but "
        "one"
    )


def _named_servers(node: Any, service: str) -> list[str]:
    """Full names of the nodes that offer a service; nodes of one name stand there each."""
    found = []
    for name, namespace in node.get_node_names_and_namespaces():
        with contextlib.suppress(NodeNameNonExistentError):  # it has just gone
            offered = node.get_service_names_and_types_by_node(name, namespace)
            if service in (each for each, _ in offered):
                found.append(f"{namespace.rstrip('/')}/{name}")
    return found
