"""Entry points of the package's nodes: signals are minded before the heavy imports begin."""

from rlt_node.process import run


def simulator() -> None:
    """Run the simulator node."""
    run("rlt_sim.simulator_node:SimulatorNode")
