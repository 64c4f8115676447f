"""`ros2 node`: list, info."""

import argparse
from typing import Any

from ros2_wheels.action import actions_of
from ros2_wheels.graph import (
    full_node_names,
    is_hidden,
    require_node,
    settle,
    split_node_name,
    temporary_node,
)
from ros2_wheels.parser import add_verbs


def add_to(commands: Any) -> None:
    """Add `node` and its verbs to the commands."""
    verbs = add_verbs(commands, "node", help="nodes")
    parser = verbs.add_parser("list", help="names of all nodes")
    parser.add_argument("-a", "--all", action="store_true", help="also hidden nodes")
    parser.add_argument("-c", "--count-nodes", action="store_true")
    parser.set_defaults(run=list_nodes)

    parser = verbs.add_parser("info", help="topics, services and actions of a node")
    parser.add_argument("node_name")
    parser.add_argument("--include-hidden", action="store_true")
    parser.set_defaults(run=info)


def list_nodes(arguments: argparse.Namespace) -> None:
    """Print the names of all nodes."""
    with temporary_node() as node:
        settle(node)
        names = full_node_names(node, hidden=arguments.all)
    if arguments.count_nodes:
        print(len(names))
    elif names:
        print(*names, sep="\n")


def info(arguments: argparse.Namespace) -> None:
    """Print what a node subscribes to, publishes, serves and calls."""
    with temporary_node() as node:
        full = require_node(node, arguments.node_name)
        settle(node)
        name, namespace = split_node_name(full)
        sections = {
            "Subscribers": node.get_subscriber_names_and_types_by_node(name, namespace),
            "Publishers": node.get_publisher_names_and_types_by_node(name, namespace),
            "Service Servers": node.get_service_names_and_types_by_node(name, namespace),
            "Service Clients": node.get_client_names_and_types_by_node(name, namespace),
        }
        sections["Action Servers"] = actions_of(sections["Service Servers"])
        sections["Action Clients"] = actions_of(sections["Service Clients"])
    print(full)
    for title, entries in sections.items():
        print(f"  {title}:")
        for entry, types in sorted(entries):
            if arguments.include_hidden or not is_hidden(entry):
                print(f"    {entry}: {', '.join(types)}")
        print(end="\n" if title.startswith("Action") else "")
