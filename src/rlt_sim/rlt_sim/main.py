"""Entry points of the package's nodes: signals are handled before the heavy imports begin."""

from rlt_node.process import run


def person() -> None:
    """Run the scripted person."""
    run("rlt_sim.person_node:PersonNode")


def simulator() -> None:
    """Run the simulator node."""
    run("rlt_sim.simulator_node:SimulatorNode")
