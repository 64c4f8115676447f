"""A bench without a robot: the records of seeded episodes for a real recorder and learner."""

from __future__ import annotations

import dataclasses
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import rclpy
import torch
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from rlt_core import checkpoint
from rlt_core.contract import Contract
from rlt_core.durable_log import LOG_FILE, DurableLog
from rlt_core.guard import normalised_bound
from rlt_core.records import (
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Features,
    Outcome,
    Phase,
    Source,
    Transition,
)
from rlt_core.settings import AgentSettings, GuardSettings, TrainingSettings, build
from rlt_core.trainer import Trainer
from rlt_core.windows import WindowBuilder
from rlt_interfaces import msg
from rlt_node import qos
from rlt_node.conversions import episode_to_msg, features_to_msg, step_to_msg

from .bench import MODEL, SIM
from .watch import Watch

TICKS = 120  # of each episode
RATE_HZ = 400.0
WARMUP = 2
TRAINING = {"warmup_episodes": WARMUP, "warmup_bc_updates": 5, "warmup_critic_updates": 5}
AGENT = {"hidden": 32, "batch": 16}
PATIENCE_S = 90.0  # the learner takes seconds to start
LOOK_S = 0.02
EVERYTHING = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Records(Watch):
    """Policy, controller and episodes in one: publishes the records of seeded episodes.

    Attributes:
        contract: The contract of the run.
        output: Folder of the run.
        expected: What recorder and learner must hold, in the order of its making; no seqs.
        recorder, learner: Their newest status.
        heard: Every commit published, as (seq, episode).
        weights: Every version of the weights published.
    """

    def __init__(self, graph: Any) -> None:
        super().__init__(graph)
        self.contract = contract = Contract.load(MODEL / "contract.json")
        self.output = graph.folder / "run"
        self.builder = WindowBuilder(contract)
        self.expected: list[Transition] = []
        self.recorder = msg.RecorderStatus()
        self.learner = msg.LearnerStatus()
        self.heard: list[tuple[int, int]] = []
        self.weights: list[msg.PolicyWeights] = []
        self._rng = np.random.default_rng(0)
        self._digest = contract.hash()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=graph.domain)
        self._nodes: list[Node] = []
        self._executor = SingleThreadedExecutor(context=self._context)
        robot = self.node("robot")
        publisher, subscription = robot.create_publisher, robot.create_subscription
        self._states = publisher(msg.EpisodeState, "episode_state", qos.BARRIER)
        self._features = publisher(msg.Features, "features", qos.LOG)
        self._steps = publisher(msg.ControlStep, "control_step", qos.LOG)
        for kind, name in ((msg.RecorderStatus, "recorder"), (msg.LearnerStatus, "learner")):
            subscription(
                kind, f"{name}_status", lambda m, name=name: setattr(self, name, m), qos.LATCHED
            )
        subscription(
            msg.Transition, "transitions", lambda m: self.heard.append((m.seq, m.episode)), qos.LOG
        )
        subscription(msg.PolicyWeights, "policy_weights", self.weights.append, EVERYTHING)
        self._state = self._make_state(0, Phase.IDLE)
        self._publish_state()

    def close(self) -> None:
        """End the bench; the graph's processes are the fixture's."""
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        rclpy.shutdown(context=self._context)

    def node(self, name: str) -> Node:
        """A node of the bench in the graph's namespace."""
        made = rclpy.create_node(name, namespace="/rlt", context=self._context)
        self._nodes.append(made)
        self._executor.add_node(made)
        return made

    def pause(self, seconds: float = LOOK_S) -> None:
        """Let a little time pass, in which messages are taken."""
        self._executor.spin_once(timeout_sec=seconds)

    def wait(
        self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S
    ) -> None:
        """Wait for a condition; longer than where a robot waits."""
        super().wait(condition, what, seconds)

    # ---- Nodes --------------------------------------------------------------------------------

    def start(self, name: str, *arguments: str, **parameters: Any) -> Any:
        """Start recorder or learner in the run's folder; return the process."""
        training = {**TRAINING, **AGENT} if name == "learner" else {}
        given = {"model": str(MODEL), "mode": "real_time", "output": str(self.output)}
        return self.graph.start(name, *arguments, **(given | training | parameters))

    def begin(self, *arguments: str, **learner: Any) -> None:
        """Start both, the learner with these, and wait until they know the run."""
        self.start("recorder")
        self.start("learner", *arguments, **learner)
        self.wait(lambda: self.recorder.run == self.learner.run == "run", "recorder and learner")

    def kill(self, name: str) -> None:
        """Kill a node with SIGKILL."""
        process = self.graph.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def forget(self) -> None:
        """Forget what was told: what comes next is of a process that was started since."""
        self.recorder, self.learner = msg.RecorderStatus(), msg.LearnerStatus()
        self.weights.clear()

    # ---- Episodes -----------------------------------------------------------------------------

    def run_episode(self, number: int, at: dict[int, Any] | None = None) -> None:
        """Publish an episode at RATE_HZ; call what `at` holds for a tick; wait for its end."""
        self._state = self._make_state(number, Phase.RUNNING)
        self._publish_state()
        self.expected += self.builder.start(self._state)
        for tick in range(self._state.start_tick, self._state.start_tick + TICKS):
            self._publish_tick(number, tick)
            if at and tick - self._state.start_tick in at:
                at[tick - self._state.start_tick]()
            self.pause(1.0 / RATE_HZ)
        self._state = self._make_state(number, Phase.ENDED)
        self._publish_state()
        self.expected += self.builder.end(self._state)

    def closed(self, number: int) -> None:
        """Wait until the recorder has closed an episode, as the episodes node does."""
        self.wait(lambda: self.recorder.episode >= number, f"the end of episode {number}")

    def _publish_tick(self, number: int, tick: int) -> None:
        contract, noise = self.contract, self._rng.normal
        if tick % contract.stride == 0:
            features = Features(
                episode=number, tick=tick,
                token=noise(size=contract.token_size).astype(np.float32),
                proprio=noise(size=contract.proprio.size).astype(np.float32),
                reference=noise(0.0, 1e-3, (contract.chunk, contract.action.size)).astype(
                    np.float32
                ),
            )
            self._features.publish(features_to_msg(features, contract, self._digest))
            self.expected += self.builder.add_features(features)
        step = ControlStep(
            episode=number, tick=tick, setpoint=np.zeros(4),
            increment=noise(0.0, 1e-3, contract.action.size).astype(np.float32),
            source=Source.HUMAN if tick % 50 == 7 else Source.ACTOR, policy_version=1,
        )
        self._steps.publish(step_to_msg(step, contract.action.names))
        self.expected += self.builder.add_step(step)

    def _make_state(self, number: int, phase: Phase) -> EpisodeState:
        start = 1000 * number
        ended = phase is Phase.ENDED
        return EpisodeState(
            run="run", episode=number, phase=phase, acting=Source.ACTOR, explore=True, seed=number,
            kind=EpisodeKind.WARMUP if number <= WARMUP else EpisodeKind.TRAIN,
            tick=start + TICKS * ended, start_tick=start, end_tick=(start + TICKS) * ended,
            outcome=Outcome.SUCCESS if ended else Outcome.NONE,
            label_source="auto" if ended else "", critical_tick=start,
        )

    def _publish_state(self) -> None:
        self._states.publish(episode_to_msg(self._state))

    # ---- The oracle ---------------------------------------------------------------------------

    def log(self) -> list[Transition]:
        """All commits of the log."""
        log = DurableLog(self.output / LOG_FILE, "run", self.contract, readonly=True)
        found = log.page(1, len(log))
        log.close()
        return found

    def nothing_lost_or_doubled(self) -> list[Transition]:
        """Judge the log by comparing sets, keys and bits; return it."""
        found = self.log()
        assert [t.seq for t in found] == [*range(1, len(found) + 1)]
        keys = Counter((t.commit, t.key) for t in found)
        assert max(keys.values()) == 1, [key for key, count in keys.items() if count > 1]
        assert set(keys) == {(t.commit, t.key) for t in self.expected}
        assert set(map(content, found)) == set(map(content, self.expected))
        return found

    def caught_up(self, commits: int) -> None:
        """Wait until the learner has taken in so many commits, each once, and learnt from them."""
        self.wait(
            lambda: self.learner.ingested_seq == commits and self.learner.updates_owed < 1,
            f"the learner's {commits} commits",
        )
        assert (self.learner.received, self.learner.missing) == (commits, 0)

    def same_as_never_harmed(self, log: list[Transition]) -> None:
        """End the learner; its weights are, bit by bit, those of one that nothing happened to."""
        assert self.graph.stop("learner") == 0
        assert f"ingested {len(log)}, gaps 0, duplicates dropped" in self.graph.log("learner")
        expected, _ = trained_on(log, self.contract).state_dict()
        found, meta = checkpoint.load(self.output / "checkpoint")
        assert meta["trainer"]["folded_seq"] == len(log)
        assert same(found, expected)


def same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    """Whether two states hold the same tensors, bit by bit."""
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def content(t: Transition) -> tuple[Any, ...]:
    """A transition without its seq, comparable by bits."""
    values = (getattr(t, item.name) for item in dataclasses.fields(t) if item.name != "seq")
    return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)


def new_trainer(contract: Contract, **agent: Any) -> Trainer:
    """The trainer of a learner that `Records.start` starts with these."""
    limits = yaml.safe_load(SIM.read_text())["/**/learner"]["ros__parameters"]
    return Trainer(
        contract, normalised_bound(GuardSettings(**limits), contract),
        build(AgentSettings, AGENT | agent), build(TrainingSettings, TRAINING), seed=0,
    )


def trained_on(log: Sequence[Transition], contract: Contract) -> Trainer:
    """A trainer that was never killed."""
    trainer = new_trainer(contract)
    for transition in log:
        trainer.ingest(transition)
    while trainer.work() or trainer.weights_due:
        if trainer.weights_due:
            trainer.publish()
    return trainer
