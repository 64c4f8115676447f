"""Entry points of the package's nodes: signals are minded before the heavy imports begin."""

from rlt_node.process import run


def episodes() -> None:
    """Run the episodes node."""
    run("rlt_teleop.episodes_node:EpisodesNode")
