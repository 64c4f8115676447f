"""`ros2 service`: list, type, call."""

import argparse
from typing import Any

import yaml

from ros2_wheels.errors import CommandError
from ros2_wheels.graph import absolute, is_hidden, settle, temporary_node, wait_for
from ros2_wheels.interfaces import from_plain, get_interface
from ros2_wheels.parser import add_verbs


def add_to(commands: Any) -> None:
    """Add `service` and its verbs to the commands."""
    verbs = add_verbs(commands, "service", help="services")
    parser = verbs.add_parser("list", help="names of all services")
    parser.add_argument("-t", "--show-types", action="store_true")
    parser.add_argument("-c", "--count-services", action="store_true")
    parser.add_argument("--include-hidden-services", action="store_true")
    parser.set_defaults(run=list_services)

    parser = verbs.add_parser("type", help="type of a service")
    parser.add_argument("service_name")
    parser.set_defaults(run=show_type)

    parser = verbs.add_parser("call", help="call a service and print its response")
    parser.add_argument("service_name")
    parser.add_argument("service_type")
    parser.add_argument("values", nargs="?", default="{}", help="the request as YAML")
    parser.set_defaults(run=call)


def list_services(arguments: argparse.Namespace) -> None:
    """Print the services of all nodes."""
    with temporary_node() as node:
        settle(node)
        services = sorted(node.get_service_names_and_types())
    shown = [
        f"{name} [{', '.join(types)}]" if arguments.show_types else name
        for name, types in services
        if arguments.include_hidden_services or not is_hidden(name)
    ]
    if arguments.count_services:
        print(len(shown))
    elif shown:
        print(*shown, sep="\n")


def show_type(arguments: argparse.Namespace) -> None:
    """Print the type of one service."""
    name = absolute(arguments.service_name)
    with temporary_node() as node:
        types = wait_for(lambda: dict(node.get_service_names_and_types()).get(name))
    if not types:
        raise CommandError(f"service '{name}' not found; see `ros2 service list`")
    print(*types, sep="\n")


def call(arguments: argparse.Namespace) -> None:
    """Call a service once, as soon as there is one; waits as long as the original does."""
    service_type = get_interface(arguments.service_type, "srv")
    request = from_plain(service_type.Request(), yaml.safe_load(arguments.values) or {})
    with temporary_node() as node:
        import rclpy

        client = node.create_client(service_type, arguments.service_name)
        if not client.wait_for_service(timeout_sec=0.5):
            print("waiting for service to become available...")
            while not client.wait_for_service(timeout_sec=1.0):
                pass
        print(f"requester: making request: {request}\n")
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future)
        if not future.done():
            raise KeyboardInterrupt
        print(f"response:\n{future.result()}\n")
