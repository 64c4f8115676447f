"""Entry points of the package's nodes: signals are handled before the heavy imports begin."""

from rlt_node.process import run


def observer() -> None:
    """Run the observer node."""
    run("rlt_policy.observer.observer_node:ObserverNode")


def policy() -> None:
    """Run the policy node."""
    run("rlt_policy.policy.policy_node:PolicyNode")


def chunk_controller() -> None:
    """Run the chunk controller node."""
    run("rlt_policy.controller.chunk_controller_node:ChunkControllerNode")
