"""Train on a robot that a VLA drives already; the simulated one is the default."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_node.launching import (
    Graph,
    argument,
    arguments,
    expendable,
    report_at_end,
    required,
    whole,
    with_context,
)


def nodes(context: LaunchContext) -> list[Action]:
    """The graph: robot, policy, control, recorder, learner, and the episodes that lead it."""
    graph = Graph.of(context)
    warmup = {"warmup_episodes": whole(context, "warmup_episodes")}  # both must count alike
    others = graph.learning(**warmup) | graph.control() | graph.robot()
    person = graph.person()
    episodes = graph.episodes(
        "train",
        **warmup,
        episodes=whole(context, "episodes"),
        base_eval_episodes=whole(context, "base_eval_episodes"),
        eval_episodes=whole(context, "eval_episodes"),
        resume=argument(context, "resume") == "true",
    )
    # In real time the robot goes on with its last weights when the learner dies.
    needed = {name: node for name, node in others.items() if graph.lockstep or name != "learner"}
    return [
        *graph.greeting,
        *required(needed),
        *expendable(person),
        *report_at_end(episodes, graph.output),
        *others.values(),
        *person.values(),
        episodes,
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "full_task", "seed", "supervisor", "device", "profile", "output",
                "resume", "algorithm", "namespace", "log_level",
                episodes=("", "training episodes including warm-up; empty: as in rlt.yaml"),
                warmup_episodes=(
                    "", "training episodes that the base policy drives; empty: as in rlt.yaml"
                ),
                base_eval_episodes=("", "evaluation episodes before; empty: as in rlt.yaml"),
                eval_episodes=("", "evaluation episodes after; empty: as in rlt.yaml"),
            ),
            with_context(nodes),
        ]
    )
