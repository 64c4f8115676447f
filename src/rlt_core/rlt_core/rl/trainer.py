"""The trainer: applies transition logs to the replay buffer and runs the updates they require.

Commits and updates strictly alternate in the order of `seq`, so the weights depend only on the log
and the seed, not on when transitions arrive or how fast the machine is. One trainer can learn from
several runs, one per robot: each is applied in the order of its own `seq`, one commit of each run
in turn. The weights then also depend on how the arrivals of the runs interleave.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.log.packing import Packing
from rlt_core.log.stream import OtherLog, Stream
from rlt_core.log.transition_log import PAGE
from rlt_core.records import Commit, EpisodeKind, FloatArray, Transition
from rlt_core.rl.agent import Agent
from rlt_core.rl.replay_buffer import ReplayBuffer
from rlt_core.settings import AgentSettings, TrainingSettings

SAMPLING_STREAM = 101  # separates the sampling's random numbers from the agent's

Q_RANGE = (-1.0, 2.0)
"""Permitted mean value of a batch: returns are in [0, 1], and so are the critic's targets."""
Q_PATIENCE = 200
"""Updates in a row outside this range that count as divergence; fewer may be the start."""


@dataclass(frozen=True)
class TrainerStatus:
    """What the trainer has received, of one run or of all runs together, and what it has done.

    Attributes:
        ingested_seq: Every commit up to this one is in the replay buffer, its updates are done
            and, if it closed an episode, the weights are published.
        received: Commits accepted, each counted once.
        duplicates: Commits dropped because they had been accepted before.
        missing: Commits not yet received that must exist, since later ones arrived.
        replay_size: Transitions in the replay buffer.
        updates: Critic updates done.
        updates_owed: Updates required by the data and not yet done.
        updates_per_second: Rate while updating, over the last episode's updates.
        policy_version: Version of the last published weights, 0 before the first.
        critic_loss, q_mean, reference_distance: Means over the last episode's updates.
        not_finite: Commits left out of the replay buffer because a value is not finite.
        fault: Why training and publishing have stopped; empty without a fault.
    """

    ingested_seq: int = 0
    received: int = 0
    duplicates: int = 0
    missing: int = 0
    not_finite: int = 0
    fault: str = ""
    replay_size: int = 0
    updates: int = 0
    updates_owed: float = 0.0
    updates_per_second: float = 0.0
    policy_version: int = 0
    critic_loss: float = 0.0
    q_mean: float = 0.0
    reference_distance: float = 0.0


class Trainer:
    """Turns logs of transitions into versions of the actor.

    Warm-up transitions require no updates themselves: when the last warm-up episode closes, the
    actor imitates the reference and the critic learns the base policy's values. Warm-up episodes
    of all runs count together; one that closes after the last only adds data. From then on every
    transition of a training episode requires `updates_per_chunk * stride / C` updates, which run
    before the next transition is applied. New weights are due whenever an episode has closed; a
    corrected label changes the replay buffer immediately and the weights after the next episode.
    Once the updates diverge, commits are still accepted, but training and publishing stop.
    All calls must come from one thread.
    """

    def __init__(
        self,
        contract: Contract,
        bound: FloatArray,
        agent: AgentSettings,
        training: TrainingSettings,
        seed: int,
    ) -> None:
        """Start with random weights and an empty replay buffer.

        Args:
            contract: The run's contract.
            bound: float32 (A,), largest normalised action per axis.
            agent: Hyper-parameters of the actor-critic.
            training: How many updates the data requires.
            seed: Seed of weights, updates and sampling.
        """
        self.agent = Agent(contract, bound, agent, seed)
        self.replay = ReplayBuffer(contract, training.replay_capacity)
        self.settings = training
        self._earned = training.updates_per_chunk * contract.stride / contract.chunk
        self._rng = np.random.default_rng((seed, SAMPLING_STREAM))
        self._packing = Packing(contract)
        self._streams: dict[str, Stream] = {}
        self._not_finite = 0
        self._fault = ""
        self._q_outside = 0
        self._warmups = 0
        self._imitations_owed = 0
        self._critic_owed = 0
        self._joint_owed = 0.0
        self._joint_updates = 0
        self._updates = 0
        self._version = 0
        self._metrics = _Means()
        self._episode_metrics: dict[str, float] = {}

    @property
    def owed(self) -> float:
        """Updates required by applied transitions and not yet done."""
        return self._imitations_owed + self._critic_owed + self._joint_owed

    @property
    def rebuilding(self) -> bool:
        """Whether the replay buffer lacks commits that the loaded checkpoint was trained on."""
        return any(s.awaited and s.rebuilding for s in self._streams.values())

    @property
    def restored(self) -> dict[str, int]:
        """Highest seq that the loaded checkpoint was trained on, by run."""
        return {run: s.restored for run, s in self._streams.items() if s.restored}

    @property
    def folded(self) -> dict[str, int]:
        """Highest ingested seq, as in `status`, by run."""
        return {run: self._ingested(stream) for run, stream in self._streams.items()}

    @property
    def weights_due(self) -> bool:
        """Whether an episode has closed whose updates are done: call `publish`."""
        closing = any(stream.closing for stream in self._streams.values())
        return closing and self.owed < 1 and not self.rebuilding

    def ingest(self, transition: Transition) -> bool:
        """Accept a commit exactly once, in any order; those after a gap wait until it is filled.

        Returns:
            False if the commit was a duplicate.

        Raises:
            ValueError: If it has no seq.
            OtherLog: If its run has been barred.
        """
        if transition.seq < 1:
            raise ValueError(f"transition {transition.key} has no seq: commit it to the log first")
        return self._stream(transition.run).accept(transition)

    def release(self, run: str) -> None:
        """Train without the commits of a run that is no longer served; they may still arrive."""
        self._stream(run).awaited = False

    def work(
        self, max_updates: int | None = None, halt: Callable[[], bool] = lambda: False
    ) -> int:
        """Run required updates and apply waiting commits, until both are done or weights are due.

        Args:
            max_updates: Return after this many updates, so that the caller can do other work.
            halt: Called before each update and each commit; True to return immediately.

        Returns:
            Number of updates done, imitation included; 0 if there is nothing to do.

        Raises:
            OtherLog: If a log is not the one that the loaded checkpoint was trained on. Its run is
                removed and barred; the next call continues without it.
        """
        done = 0
        while not self.weights_due and not halt():
            if stream := self._turn(lambda s: s.rebuilding and s.waiting > 0):
                self._rebuild(stream)
            elif self.rebuilding:
                break
            elif self.owed >= 1 and len(self.replay):
                if done == max_updates:
                    break
                self._update()
                done += 1
            elif stream := self._turn(lambda s: s.waiting > 0):
                self._fold(stream)
            else:
                break
        return done

    def publish(self) -> tuple[int, dict[str, Tensor]]:
        """Return the next version of the actor: its number and its weights.

        Raises:
            RuntimeError: If no weights are due.
        """
        if not self.weights_due:
            raise RuntimeError("no weights are due: publish after an episode's updates are done")
        self._settle()
        self._version += 1
        self._episode_metrics = self._metrics.summary()
        self._metrics = _Means()
        return self._version, self.agent.actor_state()

    def status(self, run: str | None = None) -> TrainerStatus:
        """Return the current counters and the last episode's metrics.

        Args:
            run: The run whose commits are counted; None counts all runs together.
        """
        streams = [s for s in self._streams.values() if run in (None, s.run)]
        return TrainerStatus(
            ingested_seq=sum(map(self._ingested, streams)),
            received=sum(stream.received for stream in streams),
            duplicates=sum(stream.duplicates for stream in streams),
            missing=sum(stream.missing for stream in streams),
            not_finite=self._not_finite,
            fault=self._fault,
            replay_size=len(self.replay),
            updates=self._updates,
            updates_owed=self.owed,
            policy_version=self._version,
            **self._episode_metrics,
        )

    def _ingested(self, stream: Stream) -> int:
        """Highest ingested seq: a closed episode counts once its weights are published."""
        return stream.folded - int(stream.closing and not stream.rebuilding)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return (tensors, counters as JSON values) for a checkpoint, without the replay buffer."""
        counters = {
            "runs": {run: self._streams[run].state_dict() for run in sorted(self._streams)},
            "warmups": self._warmups,
            "imitations_owed": self._imitations_owed,
            "critic_owed": self._critic_owed,
            "joint_owed": self._joint_owed,
            "joint_updates": self._joint_updates,
            "updates": self._updates,
            "version": self._version,
            "fault": self._fault,
            "q_outside": self._q_outside,
            "sampling": self._rng.bit_generator.state,
        }
        return self.agent.state_dict(), counters

    def load_state_dict(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Continue exactly from the state of `state_dict`, in a new trainer.

        The replay buffer is not part of a checkpoint: `ingest` the commits of its runs from seq 1
        on. Those that the checkpoint was trained on rebuild the replay buffer; later ones are
        trained on.

        Args:
            tensors: The agent's state.
            counters: The other half of `state_dict`.

        Raises:
            ValueError: If a counter is missing or the tensors do not fit.
        """
        missing = self.state_dict()[1].keys() - counters.keys()
        if missing:
            raise ValueError(f"the checkpoint lacks {', '.join(sorted(missing))}")
        self.agent.load_state_dict(tensors)
        for run, values in counters["runs"].items():
            self._stream(run).load_state_dict(values)
        self._warmups = counters["warmups"]
        self._imitations_owed = counters["imitations_owed"]
        self._critic_owed = counters["critic_owed"]
        self._joint_owed = counters["joint_owed"]
        self._joint_updates = counters["joint_updates"]
        self._updates = counters["updates"]
        self._version = counters["version"]
        self._fault = counters["fault"]
        self._q_outside = counters["q_outside"]
        self._rng.bit_generator.state = counters["sampling"]

    def require_log(self, run: str, committed: int) -> None:
        """Check that a log contains all that the loaded checkpoint was trained on.

        Args:
            run: Run of the log.
            committed: Highest seq of the log.

        Raises:
            OtherLog: If the log ends before the checkpoint. Its run is removed and barred.
        """
        with self._forgetting():
            self._stream(run).require(committed)

    @contextlib.contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Remove a run from the replay buffer if its log is not the expected one."""
        try:
            yield
        except OtherLog as error:
            self.replay.forget(error.run)
            raise

    def _stream(self, run: str) -> Stream:
        if run not in self._streams:
            self._streams[run] = Stream(run, self._packing)
        return self._streams[run]

    def _turn(self, ready: Callable[[Stream], bool]) -> Stream | None:
        """The next ready run in turn, so that no run starves another."""
        for run, stream in self._streams.items():
            if ready(stream):
                self._streams[run] = self._streams.pop(run)
                return stream
        return None

    def _rebuild(self, stream: Stream) -> None:
        """Apply the next commits that the checkpoint was trained on."""
        with self._forgetting():
            page = stream.take_known(PAGE)
        windows = [t for t in page if t.commit != Commit.EPISODE_END]
        self._not_finite += self.replay.fold_all(windows)

    def _fold(self, stream: Stream) -> None:
        """Apply one commit and note the updates that it requires."""
        transition = stream.take()
        if transition.commit == Commit.EPISODE_END:
            self._close(stream, transition.episode, transition.kind)
            return
        left_out = self.replay.fold(transition)
        self._not_finite += left_out
        earns = transition.commit == Commit.INSERT and transition.kind == EpisodeKind.TRAIN
        if earns and not left_out and not self._fault:
            self._joint_owed += self._earned

    def _close(self, stream: Stream, episode: int, kind: EpisodeKind) -> None:
        """Start training after the last warm-up episode; make new weights due.

        A run's episodes close in order, so an episode that is not newer closes again because its
        label was corrected.
        """
        if episode <= stream.closed_episode:
            return
        stream.closed_episode = episode
        if self._fault:
            return
        if kind == EpisodeKind.WARMUP:
            self._warmups += 1
            if self._warmups != self.settings.warmup_episodes:
                return
            if not len(self.replay):
                raise ValueError(
                    "the warm-up episodes left no transition to train on: check why they were "
                    "truncated, and start the run again"
                )
            self._imitations_owed = self.settings.warmup_bc_updates
            self._critic_owed = self.settings.warmup_critic_updates
        stream.closing = kind.stored

    def _settle(self) -> None:
        """Note that no closed episode waits for its weights any more."""
        for stream in self._streams.values():
            stream.closing = False

    def _update(self) -> None:
        """Run the next required update: imitation first, then critic only, then both."""
        started = time.perf_counter()
        batch = self.replay.sample(self.agent.settings.batch_size, self._rng)
        if self._imitations_owed:
            self._imitations_owed -= 1
            metrics = self.agent.imitate(batch)
        else:
            self._updates += 1
            if self._critic_owed:
                self._critic_owed -= 1
                metrics = self.agent.update_critic(batch)
            else:
                self._joint_owed -= 1
                self._joint_updates += 1
                actor = self._joint_updates % self.agent.settings.policy_delay == 0
                metrics = self.agent.update(batch, actor)
            self._metrics.add(metrics, time.perf_counter() - started)
        self._check(metrics)

    def _check(self, metrics: Mapping[str, float]) -> None:
        """Stop training permanently once the updates diverge."""
        wild = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
        q_mean = metrics.get("q_mean", 0.0)
        low, high = Q_RANGE
        self._q_outside = 0 if low <= q_mean <= high else self._q_outside + 1
        if self._q_outside >= Q_PATIENCE:
            wild.append(f"the mean Q is {q_mean:.3g}, although returns are in [0, 1]")
        if not wild:
            return
        self._fault = (
            f"learning diverged at update {self._updates} ({', '.join(wild)}): version "
            f"{self._version} stays the last; lower learning_rate and restart the learner, which "
            "continues from its last checkpoint"
        )
        self._imitations_owed = self._critic_owed = 0
        self._joint_owed = 0.0
        self._settle()


class _Means:
    """Means of the metrics over one episode's updates, imitation excluded."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {
            "critic_loss": [], "q_mean": [], "reference_distance": []
        }
        self._updates = 0
        self._seconds = 0.0

    def add(self, metrics: Mapping[str, float], seconds: float) -> None:
        """Add one update's metrics and duration."""
        self._updates += 1
        self._seconds += seconds
        for name, values in self._values.items():
            if name in metrics:
                values.append(metrics[name])

    def summary(self) -> dict[str, float]:
        """Return the means, 0 without a value, and the update rate."""
        means = {name: sum(v) / len(v) if v else 0.0 for name, v in self._values.items()}
        rate = self._updates / self._seconds if self._seconds else 0.0
        return means | {"updates_per_second": rate}
