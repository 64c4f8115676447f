"""`ros2 topic`: list, type, info, echo, hz, pub."""

import argparse
from typing import TYPE_CHECKING, Any

from ros2_wheels import topic_streams
from ros2_wheels.errors import CommandError
from ros2_wheels.graph import absolute, is_hidden, settle, temporary_node, wait_for
from ros2_wheels.parser import add_verbs

if TYPE_CHECKING:
    from rclpy.topic_endpoint_info import TopicEndpointInfo


def add_to(commands: Any) -> None:
    """Add `topic` and its verbs to the commands."""
    verbs = add_verbs(commands, "topic", help="topics")
    parser = verbs.add_parser("list", help="names of all topics")
    parser.add_argument("-t", "--show-types", action="store_true")
    parser.add_argument("-c", "--count-topics", action="store_true")
    parser.add_argument("--include-hidden-topics", action="store_true")
    parser.set_defaults(run=list_topics)

    parser = verbs.add_parser("type", help="type of a topic")
    parser.add_argument("topic_name")
    parser.set_defaults(run=show_type)

    parser = verbs.add_parser("info", help="type, publishers and subscribers of a topic")
    parser.add_argument("topic_name")
    parser.add_argument("-v", "--verbose", action="store_true", help="show nodes and QoS")
    parser.set_defaults(run=info)

    topic_streams.add_to(verbs)


def list_topics(arguments: argparse.Namespace) -> None:
    """Print the topics of all nodes."""
    with temporary_node() as node:
        settle(node)
        topics = sorted(node.get_topic_names_and_types())
    shown = [
        f"{name} [{', '.join(types)}]" if arguments.show_types else name
        for name, types in topics
        if arguments.include_hidden_topics or not is_hidden(name)
    ]
    print(len(shown)) if arguments.count_topics else print(*shown, sep="\n")


def show_type(arguments: argparse.Namespace) -> None:
    """Print the type of one topic."""
    with temporary_node() as node:
        print(topic_streams.require_type(node, absolute(arguments.topic_name)))


def info(arguments: argparse.Namespace) -> None:
    """Print type and counts of a topic; with --verbose every endpoint's node and QoS."""
    name = absolute(arguments.topic_name)
    with temporary_node() as node:
        types = wait_for(lambda: dict(node.get_topic_names_and_types()).get(name))
        if not types:
            raise CommandError(f"unknown topic '{name}'; see `ros2 topic list`")
        settle(node)
        publishers = node.get_publishers_info_by_topic(name)
        subscriptions = node.get_subscriptions_info_by_topic(name)
    print(
        f"Type: {types[0] if len(types) == 1 else types}\n"
        if arguments.verbose
        else f"Type: {types[0] if len(types) == 1 else types}"
    )
    for title, endpoints in (("Publisher", publishers), ("Subscription", subscriptions)):
        print(f"{title} count: {len(endpoints)}")
        if arguments.verbose:
            print()
            for endpoint in endpoints:
                print(describe(endpoint) + "\n")


def describe(endpoint: "TopicEndpointInfo") -> str:
    """Describe one publisher or subscription in the words of the original."""
    qos = endpoint.qos_profile
    return "\n".join(
        (
            f"Node name: {endpoint.node_name}",
            f"Node namespace: {endpoint.node_namespace}",
            f"Topic type: {endpoint.topic_type}",
            f"Endpoint type: {endpoint.endpoint_type.name}",
            "QoS profile:",
            f"  Reliability: {qos.reliability.name}",
            f"  History (Depth): {qos.history.name} ({qos.depth})",
            f"  Durability: {qos.durability.name}",
            f"  Lifespan: {_duration(qos.lifespan)}",
            f"  Deadline: {_duration(qos.deadline)}",
            f"  Liveliness: {qos.liveliness.name}",
            f"  Liveliness lease duration: {_duration(qos.liveliness_lease_duration)}",
        )
    )


def _duration(duration: Any) -> str:
    nanoseconds = duration.nanoseconds
    return "Infinite" if nanoseconds >= 2**63 - 1 else f"{nanoseconds} nanoseconds"
