"""Train on a robot that a VLA drives already; the simulated one is the default."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import LogInfo

from rlt_node.launching import Graph, arguments, report_at_end, required, whole, with_context


def nodes(context: LaunchContext) -> list[Action]:
    """The graph: robot, policy, control, recorder, learner, and the episodes that lead it."""
    graph = Graph.of(context)
    others = graph.learning() | graph.control() | graph.robot()
    episodes = graph.episodes(
        "train",
        episodes=whole(context, "episodes"),
        base_eval_episodes=whole(context, "base_eval_episodes"),
        eval_episodes=whole(context, "eval_episodes"),
    )
    # In real time the robot goes on with its last weights when the learner dies.
    needed = {name: node for name, node in others.items() if graph.lockstep or name != "learner"}
    return [
        LogInfo(msg=f"output: {graph.output}"),
        *required(needed),
        *report_at_end(episodes, graph.output),
        *others.values(),
        episodes,
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "seed", "supervisor", "output", "algorithm", "namespace",
                "log_level",
                episodes=("", "training episodes including warm-up; empty: as in rlt.yaml"),
                base_eval_episodes=("", "evaluation episodes before; empty: as in rlt.yaml"),
                eval_episodes=("", "evaluation episodes after; empty: as in rlt.yaml"),
            ),
            with_context(nodes),
        ]
    )
