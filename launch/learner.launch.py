"""The learner alone, for one robot or several that robot.launch.py has started, in real time.

It ends with Ctrl-C; with the output folder of before it goes on where it was.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action

from rlt_bringup.arguments import arguments, namespaces
from rlt_bringup.endings import UNTAUGHT, expendable
from rlt_bringup.launching import Graph, with_context


def nodes(context: LaunchContext) -> list[Action]:
    """The learner, which comes back when it dies."""
    graph = Graph.of(context, mode="real_time", supervisor="")
    learner = graph.learner(namespaces(context, "robots"))
    return [*graph.greeting, *expendable(learner, UNTAUGHT), *learner.values()]


def generate_launch_description() -> LaunchDescription:
    """Arguments and node."""
    return LaunchDescription(
        [
            *arguments(
                "robot", "task", "model", "params_file", "seed", "output", "namespace",
                "log_level",
                robots=(
                    "",
                    "namespaces of the robots, separated by commas; a PushRosNamespace goes before "
                    "relative ones; empty: the learner's own",
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
