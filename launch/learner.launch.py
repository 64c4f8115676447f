"""The learner alone, for one robot or several that robot.launch.py has started, in real time.

It runs until Ctrl-C; started again with the same output folder, it resumes.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import arguments, namespaces
from rlt_bringup.launching import Graph, with_context
from rlt_bringup.process_exits import WITHOUT_LEARNER, optional_nodes


def nodes(context: LaunchContext) -> list[Action]:
    """The learner, which respawns when it dies."""
    graph = Graph.of(context, mode="real_time", supervisor="")
    learner = graph.learner(namespaces(context, "robots"))
    return [*graph.greeting, *optional_nodes(learner, WITHOUT_LEARNER), *learner.values()]


def generate_launch_description() -> LaunchDescription:
    """Arguments and node."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "model", "params_file", "seed", "output", "namespace",
                "log_level",
                robots=(
                    "",
                    "namespaces of the robots, separated by commas; a PushRosNamespace is put "
                    "before relative ones; empty: the learner's own",
                ),
                warmup_episodes=(
                    "",
                    "warm-up episodes of all robots together, after which it learns; empty: as in "
                    "rlt.yaml",
                ),
            ),
            with_context(nodes),
        ]
    )
