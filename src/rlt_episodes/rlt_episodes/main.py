"""Entry point of the package's node: signals are handled before the heavy imports begin."""

from rlt_node.process import run


def episodes() -> None:
    """Run the episodes node."""
    run("rlt_episodes.episodes_node:EpisodesNode")
