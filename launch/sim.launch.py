"""The simulated robot alone, in real time, behind the topics of a robot driver."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import arguments
from rlt_bringup.launching import Graph, with_context
from rlt_bringup.process_exits import required


def nodes(context: LaunchContext) -> list[Action]:
    """The simulator."""
    graph = Graph.of(context, mode="real_time", robot="sim", supervisor="")
    robot = graph.robot()
    return [*graph.notes, *required(robot), *robot.values()]


def generate_launch_description() -> LaunchDescription:
    """Arguments and node."""
    return LaunchDescription(
        [*arguments("task", "params_file", "namespace", "log_level"), with_context(nodes)]
    )
