"""One robot of several, or one whose learner runs on another machine: everything but the learner.

It runs in real time. learner.launch.py starts the learner and names this robot's namespace.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import SCHEDULE, arguments
from rlt_bringup.launching import Graph, with_context


def nodes(context: LaunchContext) -> list[Action]:
    """The graph: robot, policy, control, recorder, and the episodes node that runs the schedule."""
    graph = Graph.of(context, mode="real_time")
    return graph.training(graph.recorder() | graph.control() | graph.robot())


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "model", "params_file", "full_task", "seed", "supervisor",
                "device", "profile", "output", "resume", "namespace", "log_level", **SCHEDULE,
            ),
            with_context(nodes),
        ]
    )
