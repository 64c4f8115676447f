"""`ros2 lifecycle`: nodes, list, get, set."""

import argparse
from typing import TYPE_CHECKING, Any

from ros2_wheels.errors import CommandError
from ros2_wheels.graph import full_node_names, require_node, settle, temporary_node
from ros2_wheels.parser import add_verbs

if TYPE_CHECKING:
    from rclpy.node import Node

ANSWER_S = 5.0  # how long a node may take to report its state
TRANSITION_S = 120.0  # how long a transition may take: configuring loads models


def add_to(commands: Any) -> None:
    """Add `lifecycle` and its verbs to the commands."""
    verbs = add_verbs(commands, "lifecycle", help="managed nodes")
    parser = verbs.add_parser("nodes", help="names of all managed nodes")
    parser.set_defaults(run=list_nodes)

    parser = verbs.add_parser("list", help="transitions that are available to a node now")
    parser.add_argument("node_name")
    parser.set_defaults(run=list_transitions)

    parser = verbs.add_parser("get", help="state of one node, or of all")
    parser.add_argument("node_name", nargs="?")
    parser.set_defaults(run=get)

    parser = verbs.add_parser("set", help="trigger a transition")
    parser.add_argument("node_name")
    parser.add_argument("transition", help="its label, for example deactivate, or its number")
    parser.set_defaults(run=set_state)


def _call(
    node: "Node",
    full: str,
    service: str,
    type_name: str,
    request: Any = None,
    timeout_s: float = ANSWER_S,
) -> Any:
    """Call one of a managed node's services.

    Raises:
        CommandError: the node has no such service, or does not answer.
    """
    import rclpy
    from lifecycle_msgs import srv

    service_type = getattr(srv, type_name)
    client = node.create_client(service_type, f"{full}/{service}")
    if not client.wait_for_service(timeout_sec=ANSWER_S):
        raise CommandError(f"node '{full}' is not a managed (lifecycle) node")
    future = client.call_async(request or service_type.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=timeout_s)
    if not future.done():
        raise CommandError(f"node '{full}' did not answer within {timeout_s:g} s")
    return future.result()


def _managed_nodes(node: "Node") -> list[str]:
    settle(node)
    services = {name for name, _ in node.get_service_names_and_types()}
    return [full for full in full_node_names(node) if f"{full}/get_state" in services]


def list_nodes(_: argparse.Namespace) -> None:
    """Print the names of all managed nodes."""
    with temporary_node() as node:
        print(*_managed_nodes(node), sep="\n")


def list_transitions(arguments: argparse.Namespace) -> None:
    """Print the transitions that a node can make in its current state."""
    with temporary_node() as node:
        full = require_node(node, arguments.node_name)
        response = _call(node, full, "get_available_transitions", "GetAvailableTransitions")
    for item in response.available_transitions:
        print(f"- {item.transition.label} [{item.transition.id}]")
        print(f"\tStart: {item.start_state.label}\n\tGoal: {item.goal_state.label}")


def get(arguments: argparse.Namespace) -> None:
    """Print the state of a node, or of every managed node."""
    with temporary_node() as node:
        if arguments.node_name:
            state = _call(node, require_node(node, arguments.node_name), "get_state", "GetState")
            print(f"{state.current_state.label} [{state.current_state.id}]")
            return
        for full in _managed_nodes(node):
            state = _call(node, full, "get_state", "GetState")
            print(f"{full}: {state.current_state.label} [{state.current_state.id}]")


def set_state(arguments: argparse.Namespace) -> None:
    """Trigger a transition and wait for it to end."""
    from lifecycle_msgs.srv import ChangeState

    with temporary_node() as node:
        full = require_node(node, arguments.node_name)
        response = _call(node, full, "get_available_transitions", "GetAvailableTransitions")
        open_now = [item.transition for item in response.available_transitions]
        wanted = arguments.transition
        chosen = next((t for t in open_now if wanted in (t.label, str(t.id))), None)
        if chosen is None:
            labels = ", ".join(f"{t.label} [{t.id}]" for t in open_now)
            raise CommandError(
                f"node '{full}' cannot make the transition '{wanted}' now; it can: {labels}"
            )
        request = ChangeState.Request(transition=chosen)
        if not _call(node, full, "change_state", "ChangeState", request, TRANSITION_S).success:
            raise CommandError("Transitioning failed; the node's log says why")
    print("Transitioning successful")
