"""The control loop: per tick human, else policy, else hold; guarded; recorded as sent."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.gate import Gate, Rejection
from rlt_core.gate import HumanInput as HumanInput
from rlt_core.guard import Guard
from rlt_core.records import (
    ActionChunk,
    ControlStep,
    EpisodeState,
    RobotState,
    Source,
)
from rlt_core.scheduler import NOTHING, ChunkScheduler, Planned
from rlt_core.settings import ChunkSettings, GuardSettings
from rlt_core.takeover import Grip, Takeover

EARLY_CHUNKS = 4
"""Chunks of an episode that this loop has not heard of yet; more would be a policy gone wild."""


class ControlLoop:
    """Chooses, guards and records one command per tick.

    It trusts nobody: whatever is refused, stale or missing ends in a decelerated hold. After a
    takeover, and after a robot state that could not be used, the policy acts again only on a
    chunk that was observed since. Calls must not overlap: one thread, or a lock around each.

    Args:
        contract: The contract of the run.
        limits: Motion limits.
        chunks: How late chunks and takeovers are handled.
        real_time: Whether receipt times are monotonic seconds; else they are ticks.

    Raises:
        ValueError: If a limit is missing or invalid.

    Attributes:
        trouble: Why the robot holds now, None while all is well.
        rejections: Number of refused inputs by "source.code", e.g. "chunk.nonfinite".
    """

    def __init__(
        self,
        contract: Contract,
        limits: GuardSettings,
        chunks: ChunkSettings,
        *,
        real_time: bool = False,
    ) -> None:
        self.trouble: Rejection | None = None
        self.rejections: Counter[str] = Counter()
        self._guard = Guard(contract.action.names, contract.dt, limits)
        self._gate = Gate(contract, self._guard.max_increment, self._guard.leash)
        self._scheduler = ChunkScheduler(contract, chunks)
        self._takeover = Takeover()
        self._max_age = limits.max_age_ticks * (contract.dt if real_time else 1.0)
        self._real_time = real_time
        self._blend_ticks = chunks.blend_ticks
        self._episode = 0
        self._running = False
        self._next_tick = 0
        self._early: deque[ActionChunk] = deque(maxlen=EARLY_CHUNKS)
        self._state: RobotState | None = None
        self._fault: Rejection | None = None
        self._sequence = -1
        self._human_ticks = 0
        self._blend_from: NDArray[np.float64] = np.zeros(contract.action.size)

    def start(self, episode: EpisodeState, measured: NDArray[np.float64]) -> None:
        """Begin an episode at rest, with the measured position (A,) as the set-point sent last.

        Raises:
            ValueError: If the measured position is no finite vector of A elements.
        """
        self._guard.start(measured)
        self._scheduler.start(episode)
        self._episode = episode.episode
        self._running = True
        self._next_tick = episode.start_tick
        self._state = None
        self._fault = None
        self.trouble = None
        self._human_ticks = 0
        early = [chunk for chunk in self._early if chunk.episode >= episode.episode]
        self._early.clear()
        for chunk in early:
            self.offer_chunk(chunk)

    def stop(self) -> None:
        """End the episode: the policy acts no more; later steps belong to episode 0."""
        self._running = False

    def ready(self, tick: int) -> bool:
        """Whether every chunk that lockstep must wait for at `tick` is there."""
        return self._scheduler.ready(tick)

    def offer_chunk(self, chunk: ActionChunk) -> Rejection | None:
        """Take in a chunk; return why it is refused, None if it is accepted.

        A chunk of a later episode is kept until that episode starts.
        """
        if chunk.episode > self._episode:
            self._early.append(chunk)
            return None
        checked = self._gate.check_chunk(chunk)
        if isinstance(checked, Rejection):
            self._scheduler.void(chunk, self._next_tick)
            return self._refuse("chunk", checked)
        late = self._scheduler.offer(checked, self._next_tick)
        return None if late is None else self._refuse("chunk", late)

    def offer_human(self, human: HumanInput | None) -> Rejection | None:
        """Take in a person's command, None if the input device is gone.

        A refused command of a person who holds the button is a hold, never the policy.

        Returns:
            Why the command is refused, None if it is accepted.
        """
        if human is None:
            return self._silence("gone", "the input device is gone")
        restarted = human.received - self._takeover.received > self._max_age
        if human.sequence <= self._sequence and not restarted:
            return self._refuse(
                "human",
                Rejection(
                    "sequence",
                    f"human command {human.sequence} came after {self._sequence}: dropped",
                ),
            )
        self._sequence = human.sequence
        checked = self._gate.check_human(human)
        if isinstance(checked, Rejection):
            self._takeover.update(human.takeover, None, human.received)
            return self._refuse("human", checked)
        self._takeover.update(human.takeover, checked, human.received)
        return None

    def step(self, tick: int, state: RobotState, now: float | None = None) -> ControlStep:
        """Decide and record what is sent at `tick`.

        Args:
            tick: The control tick.
            state: The newest robot state.
            now: Monotonic time in seconds; in lockstep the tick itself, the default.

        Returns:
            What is to be sent: finite and within limits, whatever came in.

        Raises:
            ValueError: If real time is on and `now` is missing.
            RuntimeError: If no episode was ever started.
        """
        if now is None:
            if self._real_time:
                raise ValueError("in real time, step needs the monotonic time `now`")
            now = float(tick)
        self._next_tick = tick + 1
        measured = self._measured(state, now)
        planned = self._choose(tick, now) if self.trouble is None else NOTHING
        if self.trouble is not None or self._takeover.grip is not Grip.POLICY:
            self._scheduler.flush(tick + 1)
        command = self._guard.limit(planned.increment, measured)
        joints = self.trouble is not None and self.trouble.code == "joints"
        return ControlStep(
            episode=self._episode if self._running else 0,
            tick=tick,
            increment=command.increment.astype(np.float32),
            setpoint=command.setpoint,
            source=planned.source,
            obs_tick=planned.obs_tick,
            policy_version=planned.policy_version,
            limited=(*command.limited, "joints") if joints else command.limited,
        )

    def _measured(self, state: RobotState, now: float) -> NDArray[np.float64] | None:
        """The measured position if the state is usable; sets `trouble` if it is not."""
        self.trouble = self._fault
        if self._fault is not None:
            return None
        rejection = self._gate.check_state(state, self._state)
        if rejection is None and now - state.received > self._max_age:
            rejection = Rejection(
                "stale",
                f"robot state of tick {state.tick} is {now - state.received:.3g} "
                f"{'s' if self._real_time else 'ticks'} old, more than {self._max_age:.3g}: check "
                "the robot driver; the controller holds until a fresh one comes",
            )
        if rejection is None:
            self._state = state
            return state.position
        self.trouble = self._refuse("state", rejection)
        if rejection.code == "jump":
            self._fault = rejection
        return None

    def _choose(self, tick: int, now: float) -> Planned:
        """Human, else policy, else hold."""
        grip = self._takeover.grip
        if grip is Grip.HUMAN and now - self._takeover.received > self._max_age:
            self._silence("stale", "no human command in takeover")
            grip = self._takeover.grip
        if grip is Grip.HUMAN:
            return self._human()
        self._human_ticks = 0
        if grip is Grip.POLICY and self._running:
            return self._scheduler.action(tick)
        return NOTHING

    def _human(self) -> Planned:
        """The person's increment, blended in from the increment sent when the takeover began."""
        increment = self._takeover.increment
        if increment is None:
            return NOTHING
        if self._human_ticks == 0:
            self._blend_from = self._guard.increment
        self._human_ticks += 1
        if self._human_ticks > self._blend_ticks:
            return Planned(increment.astype(np.float32), Source.HUMAN)
        weight = self._human_ticks / (self._blend_ticks + 1)
        blended = weight * increment + (1.0 - weight) * self._blend_from
        return Planned(blended.astype(np.float32), Source.BLEND)

    def _silence(self, code: str, what: str) -> Rejection | None:
        if not self._takeover.silence():
            return None
        return self._refuse(
            "human",
            Rejection(
                code,
                f"{what}: the controller holds until the takeover button is released and pressed "
                "again; check the gamepad and its link",
            ),
        )

    def _refuse(self, source: str, rejection: Rejection) -> Rejection:
        self.rejections[f"{source}.{rejection.code}"] += 1
        return rejection
