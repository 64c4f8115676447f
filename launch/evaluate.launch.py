"""Evaluate the base policy, or the actor of a checkpoint, without learning."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import argument, arguments, whole
from rlt_bringup.launching import Graph, with_context


def nodes(context: LaunchContext) -> list[Action]:
    """The graph without recorder and learner."""
    graph = Graph.of(context)
    policy, count = argument(context, "policy"), whole(context, "episodes")
    if policy == "base":
        others = graph.control() | graph.robot()
        episodes = graph.episodes("evaluate_base", base_eval_episodes=count)
    else:
        others = graph.control(policy) | graph.robot()
        episodes = graph.episodes("evaluate_actor", eval_episodes=count)
    return graph.run_until_done(episodes, others)


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "model", "params_file", "full_task", "seed", "supervisor",
                "device", "profile", "output", "namespace", "log_level",
                policy=("base", "'base', or the folder of a checkpoint"),
                episodes=("100", "evaluation episodes"),
            ),
            with_context(nodes),
        ]
    )
