"""`ros2 param`: list, get, set, describe, dump."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from ros2_wheels.errors import CommandError
from ros2_wheels.graph import full_node_names, require_node, settle, temporary_node
from ros2_wheels.interfaces import to_plain
from ros2_wheels.parser import add_verbs

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.parameter_client import AsyncParameterClient

ANSWER_S = 5.0  # how long a node may take to answer
LABELS = {  # by the constants of rcl_interfaces/msg/ParameterType, in the words of the original
    1: "Boolean value is:",
    2: "Integer value is:",
    3: "Double value is:",
    4: "String value is:",
    5: "Byte values are:",
    6: "Boolean values are:",
    7: "Integer values are:",
    8: "Double values are:",
    9: "String values are:",
}
TYPE_NAMES = (
    "not set",
    "boolean",
    "integer",
    "double",
    "string",
    "byte array",
    "boolean array",
    "integer array",
    "double array",
    "string array",
)


def add_to(commands: Any) -> None:
    """Add `param` and its verbs to the commands."""
    verbs = add_verbs(commands, "param", help="parameters")
    parser = verbs.add_parser("list", help="names of the parameters of one node, or of all")
    parser.add_argument("node_name", nargs="?")
    parser.set_defaults(run=list_parameters)

    parser = verbs.add_parser("get", help="value of a parameter")
    parser.add_argument("node_name")
    parser.add_argument("parameter_name")
    parser.add_argument("--hide-type", action="store_true")
    parser.set_defaults(run=get)

    parser = verbs.add_parser("set", help="set a parameter")
    parser.add_argument("node_name")
    parser.add_argument("parameter_name")
    parser.add_argument("value", help="as YAML")
    parser.set_defaults(run=set_parameter)

    parser = verbs.add_parser("describe", help="description, type and limits of parameters")
    parser.add_argument("node_name")
    parser.add_argument("parameter_names", nargs="+")
    parser.set_defaults(run=describe)

    parser = verbs.add_parser("dump", help="all parameters of a node, as a parameter file")
    parser.add_argument("node_name")
    parser.set_defaults(run=dump)


@contextmanager
def _client(name: str) -> "Iterator[tuple[AsyncParameterClient, Node]]":
    from rclpy.parameter_client import AsyncParameterClient

    with temporary_node() as node:
        client = AsyncParameterClient(node, require_node(node, name))
        if not client.wait_for_services(timeout_sec=ANSWER_S):
            raise CommandError(f"node '{name}' serves no parameters")
        yield client, node


def _answer(node: "Node", future: Any) -> Any:
    import rclpy

    rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_S)
    if not future.done():
        raise CommandError(f"the node did not answer within {ANSWER_S:g} s; is it busy or stopped?")
    return future.result()


def _values(client: "AsyncParameterClient", node: "Node", names: list[str]) -> list[Any]:
    """The values of parameters, as rcl_interfaces/msg/ParameterValue."""
    response = _answer(node, client.get_parameters(names))
    if len(response.values) != len(names):
        raise CommandError(f"parameter not set: {', '.join(names)}")
    return list(response.values)


def _names(client: "AsyncParameterClient", node: "Node") -> list[str]:
    return sorted(_answer(node, client.list_parameters()).result.names)


def _plain(value: Any) -> Any:
    from rclpy.parameter import parameter_value_to_python

    return to_plain(parameter_value_to_python(value), longest=None)


def list_parameters(arguments: argparse.Namespace) -> None:
    """Print the names of parameters, below the name of their node if all nodes are queried."""
    if arguments.node_name:
        with _client(arguments.node_name) as (client, node):
            print(*(f"  {name}" for name in _names(client, node)), sep="\n")
        return
    from rclpy.parameter_client import AsyncParameterClient

    with temporary_node() as node:
        settle(node)
        for full in full_node_names(node):
            client = AsyncParameterClient(node, full)
            if client.wait_for_services(timeout_sec=1.0):
                print(f"{full}:")
                print(*(f"  {name}" for name in _names(client, node)), sep="\n")


def get(arguments: argparse.Namespace) -> None:
    """Print the value of one parameter."""
    with _client(arguments.node_name) as (client, node):
        (value,) = _values(client, node, [arguments.parameter_name])
    if not value.type:
        raise CommandError(f"parameter '{arguments.parameter_name}' is not set")
    print(_plain(value)) if arguments.hide_type else print(LABELS[value.type], _plain(value))


def set_parameter(arguments: argparse.Namespace) -> None:
    """Set one parameter; the node may refuse, with its reason."""
    from rclpy.parameter import Parameter, get_parameter_value

    with _client(arguments.node_name) as (client, node):
        parameter = Parameter.from_parameter_msg(
            _parameter_message(arguments.parameter_name, get_parameter_value(arguments.value))
        )
        (result,) = _answer(node, client.set_parameters([parameter])).results
    if not result.successful:
        raise CommandError(f"Setting parameter failed: {result.reason}")
    print(f"Set parameter successful{': ' + result.reason if result.reason else ''}")


def _parameter_message(name: str, value: Any) -> Any:
    from rcl_interfaces.msg import Parameter

    return Parameter(name=name, value=value)


def describe(arguments: argparse.Namespace) -> None:
    """Print description, type and limits of parameters."""
    with _client(arguments.node_name) as (client, node):
        response = _answer(node, client.describe_parameters(arguments.parameter_names))
        if len(response.descriptors) != len(arguments.parameter_names):
            raise CommandError(f"no such parameter: {', '.join(arguments.parameter_names)}")
    for descriptor in response.descriptors:
        print(f"Parameter name: {descriptor.name}")
        print(f"  Type: {TYPE_NAMES[descriptor.type]}")
        if descriptor.description:
            print(f"  Description: {descriptor.description}")
        print("  Constraints:")
        if descriptor.read_only:
            print("    Read only: true")
        for limits in (*descriptor.floating_point_range, *descriptor.integer_range):
            print(f"    Min value: {limits.from_value}\n    Max value: {limits.to_value}")
            if limits.step:
                print(f"    Step: {limits.step}")
        if descriptor.additional_constraints:
            print(f"    Additional constraints: {descriptor.additional_constraints}")


def dump(arguments: argparse.Namespace) -> None:
    """Print all parameters of a node in the form of a parameter file."""
    with _client(arguments.node_name) as (client, node):
        names = _names(client, node)
        values = _values(client, node, names)
    nested: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        *groups, leaf = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = _plain(value)
    full = "/" + arguments.node_name.lstrip("/")
    print(yaml.safe_dump({full: {"ros__parameters": nested}}, sort_keys=True), end="")
