"""Finds the servers of a service: if several nodes offer it, all answer and any answer wins."""

from __future__ import annotations

import contextlib
from typing import Any

from rclpy.node import NodeNameNonExistentError


def several_servers(node: Any, service: str) -> str:
    """The servers of a service that only one node may offer.

    A killed node stays in the graph until the middleware removes it, with Fast DDS's defaults after
    20 s.

    Args:
        node: The node that asks.
        service: Fully resolved name of the service.

    Returns:
        Their names in alphabetical order; empty if fewer than two offer it.
    """
    count = node.count_services(service)
    if count < 2:
        return ""
    names = sorted(_named_servers(node, service))
    nameless = [f"{count - len(names)} without a name"] * (count > len(names))
    return ", ".join(names + nameless)


def naming_all_servers(message: str, node: Any, client: Any) -> str:
    """A service's answer, with the names of all servers if more than one node offers it."""
    rivals = several_servers(node, client.service_name)
    if not rivals:
        return message
    return (
        f"{message}; {client.service_name} is offered by {rivals}, and each received the request: "
        "stop all but one"
    )


def _named_servers(node: Any, service: str) -> list[str]:
    """Full names of the nodes that offer a service; nodes with the same name appear each."""
    found = []
    for name, namespace in node.get_node_names_and_namespaces():
        with contextlib.suppress(NodeNameNonExistentError):  # it has just ended
            offered = node.get_service_names_and_types_by_node(name, namespace)
            if service in (each for each, _ in offered):
                found.append(f"{namespace.rstrip('/')}/{name}")
    return found
