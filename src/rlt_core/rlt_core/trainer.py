"""The trainer: folds transition logs into replay and runs the updates that the data earns.

Folding and updating strictly alternate in the order of `seq`, so the weights depend on the log
and the seed alone, not on when transitions arrive or how fast the machine is. Several runs, of as
many robots, may feed one trainer: each is folded in the order of its own `seq`, one commit of each
in turn; what their weights then also depend on is how the runs arrived beside each other.
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

from rlt_core.agent import Agent
from rlt_core.contract import Contract
from rlt_core.log import PAGE
from rlt_core.packing import Packing
from rlt_core.records import Commit, EpisodeKind, FloatArray, Transition
from rlt_core.replay import Replay
from rlt_core.settings import AgentSettings, TrainingSettings
from rlt_core.stream import OtherLog, Stream

SAMPLING_STREAM = 101  # keeps the replay's random numbers apart from the agent's

Q_RANGE = (-1.0, 2.0)
"""Where a batch's mean value may lie: returns lie in [0, 1], and so do the critic's targets."""
Q_PATIENCE = 200
"""Updates in a row after which values outside that range are a divergence, not a start."""


@dataclass(frozen=True)
class TrainerStatus:
    """What the trainer has taken in, of one run or summed over all, and what it has done.

    Attributes:
        ingested_seq: Every commit up to this one is in replay, its updates are done and, if it
            closed an episode, the weights are published.
        received: Commits accepted, each counted once.
        duplicates: Commits dropped because they had been accepted before.
        missing: Commits known to exist, since later ones arrived, and not yet received.
        replay_size: Transitions in replay.
        updates: Critic updates done.
        updates_owed: Updates earned and not yet done.
        updates_per_second: Rate while updating, over the last episode's updates.
        policy_version: Version of the last published weights, 0 before the first.
        critic_loss, q_mean, reference_distance: Means over the last episode's updates.
        refused: Commits left out of replay since they hold a number that is not finite.
        trouble: Why nothing is learnt and published any more; empty if all is well.
    """

    ingested_seq: int = 0
    received: int = 0
    duplicates: int = 0
    missing: int = 0
    refused: int = 0
    trouble: str = ""
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

    Warm-up transitions earn nothing by themselves: when the last warm-up episode closes, the
    actor imitates the reference and the critic learns the base policy's values. Warm-up episodes
    of all runs count together; one that closes after the last is only more data. From then on
    every transition of a training episode earns `updates_per_chunk * stride / C` updates, which
    run before the next transition is folded. New weights are due whenever an episode has closed; a
    corrected label changes replay at once and the weights after the next episode. Once the updates
    diverge, commits are still taken in, but nothing is learnt or published any more.
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
        """Start with random weights and an empty replay.

        Args:
            contract: The run's contract.
            bound: float32 (A,), largest normalised action per axis.
            agent: Hyper-parameters of the actor-critic.
            training: How many updates the data earns.
            seed: Seed of weights, updates and sampling.
        """
        self.agent = Agent(contract, bound, agent, seed)
        self.replay = Replay(contract, training.replay_capacity)
        self.settings = training
        self._earned = training.updates_per_chunk * contract.stride / contract.chunk
        self._rng = np.random.default_rng((seed, SAMPLING_STREAM))
        self._packing = Packing(contract)
        self._streams: dict[str, Stream] = {}
        self._refused = 0
        self._trouble = ""
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
        """Updates earned by folded transitions and not yet done."""
        return self._imitations_owed + self._critic_owed + self._joint_owed

    @property
    def rebuilding(self) -> bool:
        """Whether replay still lacks commits that the loaded checkpoint had learnt from."""
        return any(s.awaited and s.rebuilding for s in self._streams.values())

    @property
    def restored(self) -> dict[str, int]:
        """Of every run that the loaded checkpoint had learnt from the highest seq."""
        return {run: s.restored for run, s in self._streams.items() if s.restored}

    @property
    def folded(self) -> dict[str, int]:
        """Of every run the highest seq that `status` calls ingested."""
        return {run: self._ingested(stream) for run, stream in self._streams.items()}

    @property
    def weights_due(self) -> bool:
        """Whether an episode has closed whose updates are done: call `publish`."""
        closing = any(stream.closing for stream in self._streams.values())
        return closing and self.owed < 1 and not self.rebuilding

    def ingest(self, transition: Transition) -> bool:
        """Take a commit in, exactly once, in any order; those after a gap wait for it to close.

        Returns:
            False if the commit was a duplicate.

        Raises:
            ValueError: If it carries no seq.
            OtherLog: If its run was barred before.
        """
        if transition.seq < 1:
            raise ValueError(f"transition {transition.key} has no seq: commit it to the log first")
        return self._stream(transition.run).accept(transition)

    def release(self, run: str) -> None:
        """Learn without the commits of a run that nobody serves any more; they may still come."""
        self._stream(run).awaited = False

    def work(
        self, max_updates: int | None = None, halt: Callable[[], bool] = lambda: False
    ) -> int:
        """Run owed updates and fold waiting commits, until both are done or weights are due.

        Args:
            max_updates: Return after this many updates, so that the caller can look up.
            halt: Asked before each update and each folded commit whether to return at once.

        Returns:
            Number of updates done, imitation included; 0 if there is nothing to do.

        Raises:
            OtherLog: If a log is not the one that the loaded checkpoint was learnt from. Its run is
                forgotten and barred; the next call goes on without it.
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
            run: The run whose commits are counted; None counts those of all runs together.
        """
        streams = [s for s in self._streams.values() if run in (None, s.run)]
        return TrainerStatus(
            ingested_seq=sum(map(self._ingested, streams)),
            received=sum(stream.received for stream in streams),
            duplicates=sum(stream.duplicates for stream in streams),
            missing=sum(stream.missing for stream in streams),
            refused=self._refused,
            trouble=self._trouble,
            replay_size=len(self.replay),
            updates=self._updates,
            updates_owed=self.owed,
            policy_version=self._version,
            **self._episode_metrics,
        )

    def _ingested(self, stream: Stream) -> int:
        """Highest ingested seq: a closed episode counts once its weights are out."""
        return stream.folded - int(stream.closing and not stream.rebuilding)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return (tensors, counters as JSON values) for a checkpoint; replay is in the log."""
        counters = {
            "runs": {run: self._streams[run].state_dict() for run in sorted(self._streams)},
            "warmups": self._warmups,
            "imitations_owed": self._imitations_owed,
            "critic_owed": self._critic_owed,
            "joint_owed": self._joint_owed,
            "joint_updates": self._joint_updates,
            "updates": self._updates,
            "version": self._version,
            "trouble": self._trouble,
            "q_outside": self._q_outside,
            "sampling": self._rng.bit_generator.state,
        }
        return self.agent.state_dict(), counters

    def load_state_dict(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken, in a newly made trainer.

        Replay is not part of a checkpoint: `ingest` the commits of its runs from seq 1 on. Those
        that the checkpoint had learnt from rebuild replay, the others are learnt from.

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
        self._trouble = counters["trouble"]
        self._q_outside = counters["q_outside"]
        self._rng.bit_generator.state = counters["sampling"]

    def require_log(self, run: str, committed: int) -> None:
        """Check that a log holds what the loaded checkpoint was learnt from.

        Args:
            run: Run of the log.
            committed: Highest seq of the log.

        Raises:
            OtherLog: If the log ends before the checkpoint. Its run is forgotten and barred.
        """
        with self._forgetting():
            self._stream(run).require(committed)

    @contextlib.contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Leave nothing of a log in replay that proves to be another one."""
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
        """The next run whose turn it is and that is ready, so that none starves another."""
        for run, stream in self._streams.items():
            if ready(stream):
                self._streams[run] = self._streams.pop(run)
                return stream
        return None

    def _rebuild(self, stream: Stream) -> None:
        """Fold the next commits that the checkpoint has learnt from."""
        with self._forgetting():
            page = stream.take_known(PAGE)
        windows = [t for t in page if t.commit != Commit.EPISODE_END]
        self._refused += self.replay.fold_all(windows)

    def _fold(self, stream: Stream) -> None:
        """Apply one commit and note what it earns."""
        transition = stream.take()
        if transition.commit == Commit.EPISODE_END:
            self._close(stream, transition.episode, transition.kind)
            return
        refused = self.replay.fold(transition)
        self._refused += refused
        earns = transition.commit == Commit.INSERT and transition.kind == EpisodeKind.TRAIN
        if earns and not refused and not self._trouble:
            self._joint_owed += self._earned

    def _close(self, stream: Stream, episode: int, kind: EpisodeKind) -> None:
        """Start learning after the last warm-up episode; ask for weights when there are new.

        A run's episodes close in order, so one that is not newer closes again: its label was
        corrected.
        """
        if episode <= stream.closed_episode:
            return
        stream.closed_episode = episode
        if self._trouble:
            return
        if kind == EpisodeKind.WARMUP:
            self._warmups += 1
            if self._warmups != self.settings.warmup_episodes:
                return
            if not len(self.replay):
                raise ValueError(
                    "the warm-up episodes left no transition to learn from: check why they were "
                    "cut short, and start the run again"
                )
            self._imitations_owed = self.settings.warmup_bc_updates
            self._critic_owed = self.settings.warmup_critic_updates
        stream.closing = kind.stored

    def _settle(self) -> None:
        """No closed episode waits for its weights any more."""
        for stream in self._streams.values():
            stream.closing = False

    def _update(self) -> None:
        """Run the next owed update: imitation first, then the critic alone, then both."""
        started = time.perf_counter()
        batch = self.replay.sample(self.agent.settings.batch, self._rng)
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
                actor = self._joint_updates % self.agent.settings.actor_every == 0
                metrics = self.agent.update(batch, actor)
            self._metrics.add(metrics, time.perf_counter() - started)
        self._check(metrics)

    def _check(self, metrics: Mapping[str, float]) -> None:
        """Stop learning for good once the updates diverge."""
        wild = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
        q_mean = metrics.get("q_mean", 0.0)
        low, high = Q_RANGE
        self._q_outside = 0 if low <= q_mean <= high else self._q_outside + 1
        if self._q_outside >= Q_PATIENCE:
            wild.append(f"the mean Q is {q_mean:.3g}, although returns lie in [0, 1]")
        if not wild:
            return
        self._trouble = (
            f"learning diverged at update {self._updates} ({', '.join(wild)}): version "
            f"{self._version} stays the last; lower learning_rate and restart the learner, which "
            "goes on from its last checkpoint"
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
        """Return the means, 0 where nothing was measured, and the update rate."""
        means = {name: sum(v) / len(v) if v else 0.0 for name, v in self._values.items()}
        rate = self._updates / self._seconds if self._seconds else 0.0
        return means | {"updates_per_second": rate}
