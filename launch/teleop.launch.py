"""A person's device and the operator that maps it, for a graph that is already running."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import arguments
from rlt_bringup.launching import Graph, with_context
from rlt_bringup.process_exits import optional_nodes


def nodes(context: LaunchContext) -> list[Action]:
    """The operator, and the device where a launch file can start it."""
    graph = Graph.of(context, robot="sim", supervisor="human")
    person = graph.person()
    return [*graph.notes, *optional_nodes(person), *person.values()]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return LaunchDescription(
        [
            *arguments(
                "task", "model", "params_file", "device", "profile", "namespace", "log_level"
            ),
            with_context(nodes),
        ]
    )
