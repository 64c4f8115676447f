"""Entry points of the package's nodes: signals are handled before the heavy imports begin."""

from rlt_node.process import run


def recorder() -> None:
    """Run the recorder node."""
    run("rlt_learner.recorder.recorder_node:RecorderNode")


def learner() -> None:
    """Run the learner node."""
    run("rlt_learner.learner.learner_node:LearnerNode")
