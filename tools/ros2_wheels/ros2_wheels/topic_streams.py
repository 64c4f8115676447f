"""The verbs of `ros2 topic` that move messages: echo, hz, pub."""

import argparse
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import yaml

from ros2_wheels.errors import CommandError
from ros2_wheels.graph import absolute, temporary_node, wait_for
from ros2_wheels.interfaces import LONGEST_ARRAY, from_plain, get_interface, to_plain

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

HISTORY = 10  # messages that a subscription of ours may fall behind


def add_to(verbs: Any) -> None:
    """Add the verbs to those of `topic`."""
    parser = verbs.add_parser("echo", help="print messages")
    parser.add_argument("topic_name")
    parser.add_argument("message_type", nargs="?")
    parser.add_argument("--once", action="store_true", help="end after the first message")
    parser.add_argument("--timeout", type=float, metavar="S", help="end after so many seconds")
    parser.add_argument("--field", help="print one field, for example header.stamp")
    parser.add_argument("-f", "--full-length", action="store_true", help="do not cut arrays")
    parser.add_argument("-l", "--truncate-length", type=int, default=LONGEST_ARRAY)
    parser.add_argument("--no-arr", action="store_true", help="do not print arrays")
    parser.set_defaults(run=echo)

    parser = verbs.add_parser("hz", help="print the rate of messages")
    parser.add_argument("topic_name")
    parser.add_argument("-w", "--window", type=int, default=10000, help="messages to average over")
    parser.set_defaults(run=hz)

    parser = verbs.add_parser("pub", help="publish messages")
    parser.add_argument("topic_name")
    parser.add_argument("message_type")
    parser.add_argument("values", nargs="?", default="{}", help="the message as YAML")
    parser.add_argument("-r", "--rate", type=float, default=1.0, help="in Hz (default: 1)")
    parser.add_argument("-1", "--once", action="store_true", help="publish one message")
    parser.add_argument("-t", "--times", type=int, default=0, help="end after so many messages")
    parser.add_argument(
        "-w",
        "--wait-matching-subscriptions",
        type=int,
        metavar="N",
        help="wait for N subscriptions (default: 1 with --once or --times, else 0)",
    )
    parser.add_argument(
        "-p", "--print", type=int, default=1, metavar="N", help="print every N-th message"
    )
    parser.add_argument(
        "--keep-alive",
        type=float,
        default=0.1,
        metavar="S",
        help="stay so long after the last message",
    )
    parser.set_defaults(run=pub)


def require_type(node: "Node", topic: str) -> str:
    """Wait for a topic to be discovered; return the name of its type.

    Raises:
        CommandError: no node publishes or subscribes to it, or its type is ambiguous.
    """
    types = wait_for(lambda: dict(node.get_topic_names_and_types()).get(topic))
    if not types:
        raise CommandError(
            f"topic '{topic}' does not appear to be published yet; see `ros2 topic list`"
        )
    if len(types) > 1:
        raise CommandError(f"topic '{topic}' has more than one type: {', '.join(types)}; name one")
    return types[0]


def matching_qos(node: "Node", topic: str) -> "QoSProfile":
    """The most demanding QoS that every present publisher of the topic offers.

    Reliable if all are; latched if all are, so that what was published earlier arrives. Best
    effort, which fits every publisher, if none is known.
    """
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    offered = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    reliable = bool(offered) and all(
        qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered
    )
    latched = bool(offered) and all(
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=HISTORY,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def echo(arguments: argparse.Namespace) -> None:
    """Print messages as YAML, separated by `---`."""
    import rclpy

    longest = None if arguments.full_length else arguments.truncate_length
    printed = 0

    def show(message: Any) -> None:
        nonlocal printed
        if arguments.once and printed:
            return
        value: Any = message
        for part in filter(None, (arguments.field or "").split(".")):
            try:
                value = getattr(value, part)
            except AttributeError:
                raise CommandError(f"the message has no field '{arguments.field}'") from None
        plain = to_plain(value, longest)
        if arguments.no_arr:
            plain = _without_arrays(plain)
        print(_dump(plain), end="---\n", flush=True)
        printed += 1

    with temporary_node() as node:
        topic = absolute(arguments.topic_name)
        type_name = arguments.message_type or require_type(node, topic)
        wait_for(lambda: node.get_publishers_info_by_topic(topic), timeout_s=0.5)
        qos = matching_qos(node, topic)
        node.create_subscription(get_interface(type_name, "msg"), topic, show, qos)
        end = time.monotonic() + (arguments.timeout or math.inf)
        while not (arguments.once and printed) and time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)


def _dump(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return f"{value}\n"


def _without_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_arrays(item) for key, item in value.items()}
    return f"<array of {len(value)}>" if isinstance(value, list) else value


def hz(arguments: argparse.Namespace) -> None:
    """Print once a second how often messages arrive, over the last `window` of them."""
    import rclpy

    arrivals: deque[float] = deque(maxlen=max(2, arguments.window))
    with temporary_node() as node:
        topic = absolute(arguments.topic_name)
        message_type = get_interface(require_type(node, topic), "msg")
        wait_for(lambda: node.get_publishers_info_by_topic(topic), timeout_s=0.5)
        node.create_subscription(
            message_type,
            topic,
            lambda _: arrivals.append(time.monotonic()),
            matching_qos(node, topic),
            raw=True,
        )
        due, newest = time.monotonic() + 1.0, 0.0
        while True:
            rclpy.spin_once(node, timeout_sec=0.1)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + 1.0
            if len(arrivals) > 1 and arrivals[-1] != newest:
                newest = arrivals[-1]
                print(describe_rate(list(arrivals)), flush=True)


def describe_rate(arrivals: list[float]) -> str:
    """Rate and spread of at least two arrival times [s], in the words of the original."""
    gaps = [later - earlier for earlier, later in zip(arrivals, arrivals[1:], strict=False)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    return (
        f"average rate: {1.0 / mean:.3f}\n"
        f"\tmin: {min(gaps):.3f}s max: {max(gaps):.3f}s "
        f"std dev: {deviation:.5f}s window: {len(gaps) + 1}"
    )


def pub(arguments: argparse.Namespace) -> None:
    """Publish one message again and again, or a given number of times."""
    if arguments.rate <= 0.0:
        raise CommandError(f"--rate must be above 0 Hz; found {arguments.rate}")
    message_type = get_interface(arguments.message_type, "msg")
    message = from_plain(message_type(), yaml.safe_load(arguments.values) or {})
    times = 1 if arguments.once else arguments.times
    wanted = arguments.wait_matching_subscriptions
    if wanted is None:
        wanted = 1 if times else 0

    with temporary_node() as node:
        publisher = node.create_publisher(message_type, arguments.topic_name, HISTORY)
        while publisher.get_subscription_count() < wanted:
            print(f"Waiting for at least {wanted} matching subscription(s)...", flush=True)
            wait_for(lambda: publisher.get_subscription_count() >= wanted, timeout_s=1.0)
        print("publisher: beginning loop", flush=True)
        count, due = 0, time.monotonic()
        while not times or count < times:
            time.sleep(max(0.0, due - time.monotonic()))
            due += 1.0 / arguments.rate
            publisher.publish(message)
            count += 1
            if arguments.print and count % arguments.print == 0:
                print(f"publishing #{count}: {message}\n", flush=True)
        time.sleep(arguments.keep_alive)
