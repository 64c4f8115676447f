"""A bench without a robot: the records of seeded episodes for a real recorder and learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from seeded_robot import (
    PATIENCE_S,
    Robot,
    assert_learnt_as_if_never_cut,
    assert_nothing_lost_or_doubled,
    kill,
    read_log,
    start_learner,
    start_recorder,
)

from rlt_core.contract import Contract
from rlt_core.records import Transition
from rlt_interfaces import msg

from .bench import MODEL
from .watch import Watch

LOOK_S = 0.02
EVERYTHING = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Records(Watch, Robot):
    """A seeded robot whose run is recorded and learnt from in the graph's folder.

    Attributes:
        output: Folder of the run.
        weights: Every version of the weights published.
    """

    def __init__(self, graph: Any) -> None:
        Watch.__init__(self, graph)
        Robot.__init__(self, graph.domain, Contract.load(MODEL / "contract.json"))
        self.output = graph.folder / "run"
        self.weights: list[msg.PolicyWeights] = []
        self._node.create_subscription(
            msg.PolicyWeights, "policy_weights", self.weights.append, EVERYTHING
        )

    def pause(self, seconds: float = LOOK_S) -> None:
        """Let a little time pass, in which messages are received."""
        self.spin(seconds)

    def wait(
        self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S
    ) -> None:
        """Wait for a condition."""
        super().wait(condition, what, seconds)

    # ---- Nodes --------------------------------------------------------------------------------

    def start(self, name: str, *arguments: str, **parameters: Any) -> Any:
        """Start recorder or learner in the run's folder; return the process."""
        start = {"recorder": start_recorder, "learner": start_learner}[name]
        output = parameters.pop("output", self.output)
        return start(self.graph, output, *arguments, **parameters)

    def begin(self, *arguments: str, **learner: Any) -> None:
        """Start both, the learner with these arguments, and wait until they know the run."""
        self.start("recorder")
        self.start("learner", *arguments, **learner)
        self.wait(lambda: self.recorder.run == self.learner.run == "run", "recorder and learner")

    def learn_two_versions(self) -> None:
        """Begin, and run three episodes: the checkpoints are of versions 1 and 2."""
        self.begin()
        for number in (1, 2, 3):
            self.run_episode(number)
            self.closed(number)
            self.caught_up(len(self.log()))

    def kill(self, name: str) -> None:
        """Kill a node with SIGKILL."""
        kill(self.graph.processes[name])

    def forget(self) -> None:
        """Forget received messages: what comes next is from a process that was started since."""
        self.recorder, self.learner = msg.RecorderStatus(), msg.LearnerStatus()
        self.weights.clear()

    # ---- The oracle ---------------------------------------------------------------------------

    def log(self) -> list[Transition]:
        """All commits of the log."""
        return read_log(self.output, self.contract)

    def nothing_lost_or_doubled(self) -> list[Transition]:
        """Judge the log by comparing sets, keys and bits; return it."""
        found = self.log()
        assert_nothing_lost_or_doubled(found, self.expected)
        return found

    def caught_up(self, commits: int) -> None:
        """Wait until the learner has ingested so many commits, each once, and learnt from them."""
        self.wait(
            lambda: self.learner.ingested_seq == commits and self.learner.updates_owed < 1,
            f"the learner's {commits} commits",
        )
        assert (self.learner.received, self.learner.missing) == (commits, 0)

    def same_as_never_harmed(self, log: list[Transition]) -> None:
        """End the learner; its weights are, bit for bit, those of an undisturbed one."""
        assert_learnt_as_if_never_cut(self.graph, self, log, self.output)
