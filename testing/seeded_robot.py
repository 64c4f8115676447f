"""A robot that publishes the records of seeded episodes, for a real recorder and learner."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from robot_files import sim_robot

from rlt_core.contract import Contract
from rlt_core.control.motion_limits import normalised_bound
from rlt_core.log import checkpoint
from rlt_core.log.sqlite_log import LOG_FILE, StoredLog
from rlt_core.log.windows import WindowBuilder
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
from rlt_core.rl.trainer import Trainer
from rlt_core.settings import AgentSettings, TrainingSettings, build
from rlt_interfaces import msg
from rlt_node import qos
from rlt_node.conversions import (
    episode_to_msg,
    features_to_msg,
    step_to_msg,
    transition_from_msg,
)

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "ethernet"
TICKS = 120  # of each episode
RATE_HZ = 400.0
WARMUP = 2
TRAINING = {"warmup_episodes": WARMUP, "warmup_bc_updates": 5, "warmup_critic_updates": 5}
AGENT = {"hidden_dim": 32, "batch_size": 16}
PATIENCE_S = 90.0


class Robot:
    """Policy, controller and episodes in one: publishes the records of seeded episodes.

    Args:
        domain: ROS domain.
        contract: The run's contract.
        namespace: Of the robot's graph.
        run: Identifier of the run.
        seed: Of the records.
        ticks: Length of every episode.
        rate_hz: Control ticks a second.

    Attributes:
        expected: What a recorder that receives everything commits.
        heard: Every commit that was published.
        late: Lateness of each tick, s.
    """

    def __init__(
        self, domain: int, contract: Contract, namespace: str = "rlt", run: str = "run",
        seed: int = 0, ticks: int = TICKS, rate_hz: float = RATE_HZ,
    ) -> None:
        self.contract, self._ticks, self._period = contract, ticks, 1.0 / rate_hz
        self.run = run
        self.builder = WindowBuilder(contract)
        self.expected: list[Transition] = []
        self.recorder = msg.RecorderStatus()
        self.learner = msg.LearnerStatus()
        self.heard: list[Transition] = []
        self.late: list[float] = []
        self._rng = np.random.default_rng(seed)
        self._digest = contract.hash()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._namespace = f"/{namespace}"
        self._nodes: list[Node] = []
        self._executor = SingleThreadedExecutor(context=self._context)
        self._node = self.node("robot")
        subscription = self._node.create_subscription
        for kind, name in ((msg.RecorderStatus, "recorder"), (msg.LearnerStatus, "learner")):
            subscription(
                kind, f"{name}_status", lambda m, name=name: setattr(self, name, m), qos.LATEST
            )
        subscription(
            msg.Transition, "transitions",
            lambda m: self.heard.append(transition_from_msg(m)), qos.LOG,
        )
        self._advertise()

    def _advertise(self) -> None:
        publisher = self._node.create_publisher
        self._states = publisher(msg.EpisodeState, "episode_state", qos.BARRIER)
        self._features = publisher(msg.Features, "features", qos.LOG)
        self._steps = publisher(msg.ControlStep, "control_step", qos.LOG)
        self._state = self._make_state(0, Phase.IDLE)
        self._publish_state()

    def restart(self) -> None:
        """Publish nothing of the past to late subscribers any more, like nodes that restarted."""
        for publisher in (self._states, self._features, self._steps):
            self._node.destroy_publisher(publisher)
        self._advertise()

    def close(self) -> None:
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        rclpy.shutdown(context=self._context)

    def node(self, name: str) -> Node:
        """A node in the robot's process and namespace."""
        made = rclpy.create_node(name, namespace=self._namespace, context=self._context)
        self._nodes.append(made)
        self._executor.add_node(made)
        return made

    def spin(self, seconds: float) -> None:
        self._executor.spin_once(timeout_sec=seconds)

    def wait_for(self, condition: Any, what: str, seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            self.spin(0.02)

    def run_episode(self, number: int, at: dict[int, Any] | None = None) -> None:
        """Publish an episode at the rate; call what `at` holds for a tick."""
        self._state = self._make_state(number, Phase.RUNNING)
        self._publish_state()
        self.expected += self.builder.start(self._state)
        due = time.monotonic()
        for tick in range(self._state.start_tick, self._state.start_tick + self._ticks):
            self.late.append(self._until(due))
            self._publish_tick(number, tick)
            if at and tick - self._state.start_tick in at:
                at[tick - self._state.start_tick]()
            due += self._period
        self._state = self._make_state(number, Phase.ENDED)
        self._publish_state()
        self.expected += self.builder.end(self._state)

    def _until(self, due: float) -> float:
        """Process messages until a due time; return how late it is then, s."""
        self.spin(max(due - time.monotonic(), 0.0))
        while (late := time.monotonic() - due) < 0.0:
            self.spin(-late)
        return late

    def closed(self, number: int) -> None:
        """Wait until the recorder has closed an episode, as the episodes node does."""
        self.wait_for(lambda: self.recorder.episode >= number, f"the end of episode {number}")

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
        start = 10_000 * number
        ended = phase is Phase.ENDED
        return EpisodeState(
            run=self.run, episode=number, phase=phase, acting=Source.ACTOR, explore=True,
            seed=number,
            kind=EpisodeKind.WARMUP if number <= WARMUP else EpisodeKind.TRAIN,
            tick=start + self._ticks * ended, start_tick=start,
            end_tick=(start + self._ticks) * ended,
            outcome=Outcome.SUCCESS if ended else Outcome.NONE,
            label_source="auto" if ended else "", critical_tick=start,
        )

    def _publish_state(self) -> None:
        self._states.publish(episode_to_msg(self._state))


def start_recorder(graph: Any, output: Path, **parameters: Any) -> Any:
    given = {"model": str(MODEL), "mode": "real_time", "output": str(output)}
    return graph.start("recorder", **(given | parameters))


def start_learner(graph: Any, output: Path, *arguments: str, **parameters: Any) -> Any:
    given = {"model": str(MODEL), "mode": "real_time", "output": str(output)}
    return graph.start("learner", *arguments, **(given | TRAINING | AGENT | parameters))


def kill(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def read_log(output: Path, contract: Contract, run: str = "run") -> list[Transition]:
    log = StoredLog(output / LOG_FILE)
    assert (log.run, log.contract_hash) == (run, contract.hash())
    found = log.page(1, len(log))
    log.close()
    return found


def content(t: Transition) -> tuple[Any, ...]:
    """A transition without its seq, comparable by bits."""
    values = (getattr(t, item.name) for item in dataclasses.fields(t) if item.name != "seq")
    return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)


def assert_nothing_lost_or_doubled(found: list[Transition], expected: list[Transition]) -> None:
    assert [t.seq for t in found] == [*range(1, len(found) + 1)]
    keys = Counter((t.commit, t.key) for t in found)
    assert max(keys.values()) == 1, [key for key, count in keys.items() if count > 1]
    assert set(keys) == {(t.commit, t.key) for t in expected}
    assert set(map(content, found)) == set(map(content, expected))


def new_trainer(contract: Contract, **agent: Any) -> Trainer:
    """The trainer of a learner that `start_learner` starts with these."""
    return Trainer(
        contract, normalised_bound(sim_robot().limits, contract),
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


def assert_learnt_as_if_never_cut(
    graph: Any, robot: Robot, log: list[Transition], output: Path
) -> None:
    """The learner ends with the complete log, and with the weights of an undisturbed learner."""
    robot.wait_for(
        lambda: robot.learner.ingested_seq == len(log) and robot.learner.updates_owed < 1,
        "the learner's last updates",
    )
    assert (robot.learner.received, robot.learner.missing) == (len(log), 0)
    assert graph.stop("learner") == 0
    assert f"ingested {len(log)}, gaps 0, duplicates dropped" in graph.log("learner")
    expected, _ = trained_on(log, robot.contract).state_dict()
    found, meta = checkpoint.load(output / "checkpoint")
    assert meta["trainer"]["runs"][robot.run]["folded_seq"] == len(log)
    assert same(found, expected)


def same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    """Whether two states hold the same tensors, bit for bit."""
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )
