"""Train on a robot that a VLA already drives; the simulated one is the default."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import SCHEDULE, arguments
from rlt_bringup.launching import Graph, with_context


def nodes(context: LaunchContext) -> list[Action]:
    """The graph: robot, policy, control, recorder, learner, and the episodes node."""
    graph = Graph.of(context)
    learner = graph.learner()
    others = graph.recorder() | graph.control() | graph.robot()
    if graph.lockstep:
        return graph.training(learner | others)
    # In real time the robot continues with its last weights when the learner dies.
    return graph.training(others, learner)


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
