"""The records that the packages exchange: one dataclass per ROS message.

All quantities are SI. A *tick* is one control period. Ticks are counted through the run and never
go back. Episodes start on a tick that is a multiple of the executed chunk length: a tick with
`tick % chunk == 0` is a chunk boundary, one with `tick % stride == 0` has an observation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]


class Source(IntEnum):
    """Who decided the increment that was executed at a tick."""

    UNKNOWN = 0
    BASE = 1
    ACTOR = 2
    HUMAN = 3
    BLEND = 4
    HOLD = 5


class Phase(IntEnum):
    """Phase of an episode."""

    IDLE = 0
    RESETTING = 1
    RUNNING = 2
    ENDED = 3
    FINISHED = 4


class EpisodeKind(IntEnum):
    """What an episode is for."""

    UNKNOWN = 0
    BASE_EVAL = 1
    WARMUP = 2
    TRAIN = 3
    EVAL = 4

    @property
    def stored(self) -> bool:
        """Whether the episode's transitions enter the replay buffer; never in evaluation."""
        return self in (EpisodeKind.WARMUP, EpisodeKind.TRAIN)

    @property
    def acting(self) -> Source:
        """Which policy drives the robot in this kind of episode."""
        return Source.ACTOR if self in (EpisodeKind.TRAIN, EpisodeKind.EVAL) else Source.BASE


class Outcome(IntEnum):
    """How an episode ended."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2
    TRUNCATED = 3


class Commit(IntEnum):
    """What a record of the transition log does to the replay buffer."""

    UNKNOWN = 0
    INSERT = 1
    REVISION = 2
    TOMBSTONE = 3
    EPISODE_END = 4


@dataclass(frozen=True)
class Observation:
    """What the policy sees at one tick.

    Attributes:
        tick: Control tick of acquisition.
        images: Camera name -> uint8 array (height, width, 3), RGB.
        proprio: float32 (P,), SI, in the order of the contract's proprioception names.
        stamps: Source name -> acquisition time in seconds (for logs and skew only).
    """

    tick: int
    images: dict[str, ImageArray]
    proprio: FloatArray
    stamps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """State x and reference of one stride tick, as the replay buffer needs them.

    Attributes:
        tick: Tick of the observation.
        token: float32 (Z,), the raw RL token.
        proprio: float32 (P,), SI.
        reference: float32 (C, A), SI increments that the VLA proposed for the ticks
            tick + d ... tick + d + C - 1: off a chunk boundary, the boundary's chunk shifted.
        episode: Number of the episode.
    """

    episode: int
    tick: int
    token: FloatArray
    proprio: FloatArray
    reference: FloatArray


@dataclass(frozen=True)
class ActionChunk:
    """Increments proposed for the ticks from start_tick on.

    Attributes:
        episode: Number of the episode.
        obs_tick: Tick of the observation that the chunk answers.
        start_tick: First tick to execute: obs_tick + planning delay d.
        actions: float32 (C, A), SI increments per tick, names in `axis_names`.
        tail: float32 (H - d - C, A), the reference after the chunk, for a late successor.
        source: BASE or ACTOR.
        policy_version: Version of the actor's weights (0 for the base policy).
        axis_names: Names of the A action axes.
        contract_hash: Hash of the contract under which the chunk was computed.
    """

    episode: int
    obs_tick: int
    start_tick: int
    actions: FloatArray
    tail: FloatArray
    source: Source
    policy_version: int
    axis_names: tuple[str, ...]
    contract_hash: str


@dataclass(frozen=True)
class RobotState:
    """What the controller needs of the robot at one tick.

    Attributes:
        tick: Control tick.
        position: float64 (A,), measured position on the action axes, SI.
        received: Monotonic receipt time in seconds (real time) or the tick (lockstep).
        fault: Why the robot must not move now, empty if it may.
    """

    tick: int
    position: NDArray[np.float64]
    received: float
    fault: str = ""


@dataclass(frozen=True)
class ControlStep:
    """What was sent at one tick: the replay buffer stores this, not what was proposed.

    Attributes:
        episode: Number of the episode.
        tick: Control tick.
        increment: float32 (A,), SI: sent set-point minus the previously sent one.
        setpoint: float64 (A,), SI: the set-point that was sent.
        source: Who decided the increment.
        obs_tick: Observation behind the chunk in use (0 if none).
        policy_version: Version of the actor's weights behind it (0 for others).
        limited: Names of the limits that changed the command.
        fault: Code of the fault that holds the robot, empty if none does.
    """

    episode: int
    tick: int
    increment: FloatArray
    setpoint: NDArray[np.float64]
    source: Source
    obs_tick: int = 0
    policy_version: int = 0
    limited: tuple[str, ...] = ()
    fault: str = ""


KEPT_EPISODES = 50
"""Episodes whose labels can still be corrected; more would only cost memory."""
PEOPLE = (Source.HUMAN, Source.BLEND)
"""Sources of the ticks that a person decided, including blending."""

NUMBERS = (
    "token", "proprio", "committed", "reference", "actions", "rewards",
    "next_token", "next_proprio", "next_committed", "next_reference",
)
"""The arrays of numbers of a `Transition`."""

INTERRUPTED = "interrupted"
"""Label source of an episode whose end was not observed: it ends at its last recorded tick."""


@dataclass(frozen=True)
class EpisodeState:
    """The state of the current episode as of `tick`; only the episodes node writes it.

    Attributes:
        run: Identifier of the run.
        episode: Number of the episode in the run, from 1.
        kind: What the episode is for.
        phase: Phase of the episode.
        acting: Policy that drives the critical phase: BASE or ACTOR (after handover).
        explore: Whether exploration noise is added.
        seed: Seed of the episode (robot reset, policy sampling, exploration).
        tick: The tick up to which this state is known to be valid.
        start_tick: First tick of the episode.
        end_tick: One past the last tick of the episode (0 while it runs).
        outcome: How it ended.
        label_source: Who or what judged it: "human", "auto", "time_limit", "fault", "held",
            "abort", "discard", `INTERRUPTED` or "".
        critical: Whether the critical phase has begun: only its ticks are stored.
        critical_tick: First tick of the critical phase, a chunk boundary; 0 before it is known.
    """

    run: str
    episode: int
    kind: EpisodeKind
    phase: Phase
    acting: Source
    explore: bool
    seed: int
    tick: int
    start_tick: int
    end_tick: int = 0
    outcome: Outcome = Outcome.NONE
    label_source: str = ""
    critical: bool = True
    critical_tick: int = 0

    def stores(self, tick: int) -> bool:
        """Whether transitions that begin at a tick of this episode enter the replay buffer."""
        return self.kind.stored and self._is_critical(tick)

    def driver(self, tick: int) -> Source:
        """Policy that answers the observation of a tick; the base before the critical phase."""
        return self.acting if self._is_critical(tick) else Source.BASE

    @property
    def critical_steps(self) -> int:
        """Executed ticks of an ended episode's critical phase."""
        return max(0, self.end_tick - self.critical_tick) if self.critical else 0

    def _is_critical(self, tick: int) -> bool:
        return self.critical and tick >= self.critical_tick


@dataclass(frozen=True)
class Transition:
    """One record of the run's log: self-contained, in SI, keyed by (run, episode, step).

    Attributes:
        run: Identifier of the run.
        episode: Number of the episode.
        step: Start of the window in ticks after the episode's first tick.
        seq: Number of the commit within the run, gapless from 1.
        commit: What the record does. An EPISODE_END record has empty arrays, `step` = length of
            the episode in ticks, and the outcome.
        kind: Kind of the episode.
        token, proprio, committed: State x at the start: (Z,), (P,), (d, A).
        reference: float32 (C, A), the reference chunk ã (after the intervention rule).
        actions: float32 (C, A), the executed increments; past `valid` filled with ã's tail.
        sources: uint8 (C,), `Source` of every executed tick (UNKNOWN past `valid`).
        valid: Number n of executed ticks.
        rewards: float32 (C,), reward of every tick (0 past `valid`).
        terminated: The episode terminated within the window: no bootstrap.
        next_token, next_proprio, next_committed, next_reference: x' and ã' (zeros if terminated).
        outcome: Outcome of the episode if known (EPISODE_END, revisions), else NONE.
        policy_version: Version of the actor's weights at the window's start (0: base).
        limited: bool (C,), whether a limit changed the command of a tick; for the record only.
    """

    run: str
    episode: int
    step: int
    seq: int
    commit: Commit
    kind: EpisodeKind
    token: FloatArray
    proprio: FloatArray
    committed: FloatArray
    reference: FloatArray
    actions: FloatArray
    sources: NDArray[np.uint8]
    valid: int
    rewards: FloatArray
    terminated: bool
    next_token: FloatArray
    next_proprio: FloatArray
    next_committed: FloatArray
    next_reference: FloatArray
    outcome: Outcome = Outcome.NONE
    policy_version: int = 0
    limited: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @property
    def key(self) -> tuple[str, int, int]:
        """Key in the replay buffer: (run, episode, step)."""
        return (self.run, self.episode, self.step)

    @property
    def finite(self) -> bool:
        """Whether all numbers are finite."""
        return all(np.isfinite(getattr(self, name)).all() for name in NUMBERS)

    @property
    def decided_by_person(self) -> bool:
        """Whether a person decided at least one tick of the window."""
        return bool(np.isin(self.sources, PEOPLE).any())


@dataclass(frozen=True)
class HumanInput:
    """A person's command at one moment.

    Attributes:
        sequence: Increases by one per message.
        takeover: Whether the person holds the takeover button.
        increment: (A,), SI increments per tick.
        axis_names: Names of the elements of `increment`.
        received: Monotonic receipt time in seconds (real time) or the tick (lockstep).
        contract_hash: Hash of the contract under which the command was made.
        fault: Why the device cannot be used now, empty if it can.
    """

    sequence: int
    takeover: bool
    increment: FloatArray
    axis_names: tuple[str, ...]
    received: float
    contract_hash: str
    fault: str = ""
