"""The control loop: human, else policy, else hold, per tick; limited; recorded as sent."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.control.chunk_scheduler import NOTHING, ChunkScheduler, Planned
from rlt_core.control.control_clock import ControlClock, Lateness
from rlt_core.control.input_validation import InputValidator
from rlt_core.control.motion_limits import MotionLimiter, MotionLimits
from rlt_core.control.rejection import HELD_FOR_THE_EPISODE, TRIP, Rejection
from rlt_core.control.robot_response import PATIENCE_S, GroupResponses
from rlt_core.control.takeover import ControlAuthority, Takeover
from rlt_core.records import (
    ActionChunk,
    ControlStep,
    EpisodeState,
    HumanInput,
    RobotState,
    Source,
)
from rlt_core.settings import ChunkSettings

EARLY_CHUNKS = 4
"""Chunks kept for an episode that has not started here yet; more would be a policy fault."""
TRIP_CHUNKS = 3
"""After this many chunks in a row with invalid content the policy does not act any more."""
LEADER_SILENCE_S = 0.35
"""Real time: longest silence of the episodes node, s. It publishes ten times a second, and the
robot stands still half a second after the last message."""


@dataclass(frozen=True)
class ControlHealth:
    """State and counters of the control loop.

    Attributes:
        fault: Why the robot holds now, None without a fault.
        takeover: Who may move the robot.
        rejections: Number of rejected inputs by "source.code", e.g. "chunk.nonfinite".
        holds: How often the robot began to hold, by the code of the fault.
        limited: Ticks at which a limit changed the command, by the limit's name.
        underruns: Ticks of a running episode without a chunk although the policy should act.
        stretched: Ticks that bridged a late chunk.
        lateness: How late the ticks were; all zero in lockstep.
    """

    fault: Rejection | None
    takeover: ControlAuthority
    rejections: Mapping[str, int]
    holds: Mapping[str, int]
    limited: Mapping[str, int]
    underruns: int
    stretched: int
    lateness: Lateness


class ControlLoop:
    """Chooses, limits and records one command per tick.

    It trusts no input: a rejected, stale or missing one leads to a decelerated hold. After a
    takeover, and after any fault that held the robot, the policy acts again only on a chunk whose
    observation is newer. Calls must not overlap: use one thread, or a lock around each call.

    Attributes:
        clock: The control clock of real time. The caller calls its `begin_tick` at every tick, also
            outside an episode; unused in lockstep.
        blocked_by: Why this loop must not move the robot at all, set by the caller as long as it
            lasts, e.g. because another node commands the robot too, or no driver subscribes to the
            commands; None otherwise.
        fault: Why the robot holds now, None without a fault.
        rejections: Number of rejected inputs by "source.code", e.g. "chunk.nonfinite".
    """

    def __init__(
        self,
        contract: Contract,
        limits: MotionLimits,
        chunks: ChunkSettings,
        *,
        real_time: bool = False,
    ) -> None:
        """Set up.

        Args:
            contract: The contract of the run.
            limits: Motion limits.
            chunks: How late chunks and takeovers are handled.
            real_time: Whether receipt times are monotonic seconds; else they are ticks.

        Raises:
            ValueError: If a limit is missing or invalid.
        """
        unit = contract.dt if real_time else 1.0
        self.clock = ControlClock(contract.dt, limits.max_age_ticks)
        self.blocked_by: Rejection | None = None
        self.fault: Rejection | None = None
        self.rejections: Counter[str] = Counter()
        self._limiter = MotionLimiter(contract.action, contract.dt, limits)
        self._validator = InputValidator(contract, self._limiter)
        self._response = GroupResponses(
            contract.action, self._limiter.max_tracking_error, contract.dt
        )
        self._scheduler = ChunkScheduler(contract, chunks)
        self._human_silence = chunks.human_silence_ticks * unit
        self._takeover = Takeover(self._human_silence)
        self._max_age = limits.max_age_ticks * unit
        self._real_time = real_time
        self._operator_required = chunks.operator_required
        self._blend_ticks = chunks.blend_ticks
        self._episode = 0
        self._running = False
        self._next_tick = 0
        self._early: deque[ActionChunk] = deque(maxlen=EARLY_CHUNKS)
        self._state: RobotState | None = None
        self._led_at = -math.inf
        self._fault: Rejection | None = None
        self._rejected_chunks = 0
        self._sequence = -1
        self._disputed = -math.inf
        self._human_ticks = 0
        self._holds: Counter[str] = Counter()
        self._limited: Counter[str] = Counter()
        self._underruns = 0
        self._stretched = 0

    def not_ready(self, state: RobotState | None, now: float) -> Rejection | None:
        """Why an episode cannot start in this robot state at the time `now`; None if it can.

        This is the `fault` until an episode starts, or until the one that could not start is over.
        """
        if state is None:
            self.fault = Rejection(
                "stale", "no robot state received yet: start the robot driver or remap its topics"
            )
        else:
            self.fault = (
                self.blocked_by or self._leader_fault(now) or self._state_fault(state, None, now)
            )
        return self.fault

    def note_leader(self, now: float) -> None:
        """Real time: note a message of the episodes node at the monotonic time `now`, s."""
        self._led_at = now

    def start(self, episode: EpisodeState, measured: NDArray[np.float64]) -> None:
        """Begin an episode at rest, with the measured position (A,) as the set-point sent last.

        Raises:
            ValueError: If the measured position is not a finite vector of A elements.
        """
        self._limiter.start(measured)
        self._response.begin(measured)
        self._scheduler.start(episode)
        self._episode = episode.episode
        self._running = True
        self._next_tick = episode.start_tick
        self._state = None
        self._fault = None
        self._rejected_chunks = 0
        self.fault = None
        self._human_ticks = 0
        early = [chunk for chunk in self._early if chunk.episode >= episode.episode]
        self._early.clear()
        for chunk in early:
            self.offer_chunk(chunk)

    def stop(self) -> None:
        """End the episode: the policy does not act any more; later steps belong to episode 0."""
        if not self._running:  # faults of the last episode's ticks end with it
            self.fault = None
        self._running = False

    def ready(self, tick: int) -> bool:
        """Whether every chunk that lockstep must wait for at `tick` has arrived."""
        return self._scheduler.ready(tick)

    def offer_chunk(self, chunk: ActionChunk) -> Rejection | None:
        """Add a chunk; return why it is rejected, None if it is accepted.

        A chunk of a later episode is kept until that episode starts.
        """
        if chunk.episode > self._episode:
            self._early.append(chunk)
            return None
        checked = self._validator.check_chunk(chunk)
        if isinstance(checked, Rejection):
            self._scheduler.void(chunk, self._next_tick)
            return self._reject("chunk", self._count_rejection(chunk, checked))
        late = self._scheduler.offer(checked, self._next_tick)
        if late is not None:
            return self._reject("chunk", late)
        if self._rejected_chunks < TRIP_CHUNKS:
            self._rejected_chunks = 0
        return None

    def offer_human(self, human: HumanInput) -> Rejection | None:
        """Add a person's command.

        If the command is rejected while the button is held, the robot holds and the policy does
        not act. The same applies to a device fault, which becomes the `fault` during takeover. If
        two operators publish, the state of the button is ambiguous: the robot holds while both do.

        Returns:
            Why the command is rejected, None if it is accepted.
        """
        if human.sequence <= self._sequence and not self._takeover.silent(human.received):
            self._disputed = human.received
            return self._reject(
                "human",
                Rejection(
                    "sequence",
                    f"human command {human.sequence} arrived after {self._sequence}: dropped; "
                    "check that only one operator node publishes human_command",
                ),
            )
        self._sequence = human.sequence
        if human.fault:
            self._takeover.fault(human.fault)
            return None
        checked = self._validator.check_human(human)
        if isinstance(checked, Rejection):
            self._takeover.update(human.takeover, None, human.received)
            return self._reject("human", checked)
        self._takeover.update(human.takeover, checked, human.received)
        return None

    def step(self, tick: int, state: RobotState, now: float | None = None) -> ControlStep:
        """Decide and record what is sent at `tick`.

        Args:
            tick: The control tick.
            state: The newest robot state.
            now: Monotonic time in seconds; in lockstep the tick itself, the default.

        Returns:
            What to send: finite and within limits for any input.

        Raises:
            ValueError: If `now` is missing in real time.
            RuntimeError: If no episode has ever been started.
        """
        if now is None:
            if self._real_time:
                raise ValueError("in real time, step needs the monotonic time `now`")
            now = float(tick)
        self._next_tick = tick + 1
        before = self.fault
        latch = self._takeover.check(now)
        self.fault = (
            self._robot_fault(state, now) or latch or self._dispute(now)
            or self._policy_fault(now)
        )
        planned = self._choose(tick, now) if self.fault is None else NOTHING
        authority = self._takeover.authority
        if authority is not ControlAuthority.HUMAN or self.fault is not None:
            self._human_ticks = 0
        if self.fault is not None or authority is not ControlAuthority.POLICY:
            self._scheduler.flush(tick + 1)
        elif self._running and planned.increment is None:
            self._underruns += 1
            self.fault = self._scheduler.silence(tick)
        if self.fault is not None and (before is None or before.code != self.fault.code):
            self._holds[self.fault.code] += 1
        measured = None if self._state is not state else state.position
        return self._send(tick, planned, measured)

    def health(self) -> ControlHealth:
        """The state of the loop, and what it has rejected and limited since it was created."""
        return ControlHealth(
            self.fault or self.blocked_by,
            self._takeover.authority,
            dict(self.rejections),
            dict(self._holds),
            dict(self._limited),
            self._underruns,
            self._stretched,
            self.clock.summary(),
        )

    # ---- Faults ---------------------------------------------------------------------------------

    def _robot_fault(self, state: RobotState, now: float) -> Rejection | None:
        """Why the robot must hold; if None, the state becomes the newest usable one."""
        if self._fault is not None:
            return self._fault
        if self.blocked_by is not None:
            return self.blocked_by
        if self.clock.fault is not None:
            return self.clock.fault
        if self._running and (leaderless := self._leader_fault(now)) is not None:
            self._fault = leaderless
            return leaderless
        rejection = self._state_fault(state, self._state, now)
        if rejection is None:
            self._state = state
            return None
        if rejection.code in HELD_FOR_THE_EPISODE:
            self._fault = rejection
        return self._reject("state", rejection)

    def _leader_fault(self, now: float) -> Rejection | None:
        """Why the robot must hold for lack of its episodes node; None while that one publishes."""
        silence = now - self._led_at
        if not self._real_time or silence <= LEADER_SILENCE_S:
            return None
        if silence == math.inf:
            return Rejection(
                "leader",
                "no episode_heartbeat received yet, and no episode runs without it: check that the "
                "node that publishes episode_state also publishes episode_heartbeat",
            )
        return Rejection(
            "leader",
            f"no episode_heartbeat for {silence:.2f} s, more than {LEADER_SILENCE_S:g} s: the "
            "episodes node has ended or hangs; the controller holds until the next episode: start "
            "the launch again",
        )

    def _state_fault(
        self, state: RobotState, previous: RobotState | None, now: float
    ) -> Rejection | None:
        """Why a robot state cannot be used after the `previous` good one."""
        rejection = self._validator.check_state(state, previous)
        if rejection is not None or now - state.received <= self._max_age:
            return rejection
        return Rejection(
            "stale",
            f"robot state of tick {state.tick} is {now - state.received:.3g} "
            f"{'s' if self._real_time else 'ticks'} old, more than {self._max_age:.3g}: check "
            "that its driver publishes, with increasing stamps; the controller holds until a new "
            "one arrives",
        )

    def _dispute(self, now: float) -> Rejection | None:
        """Why the robot holds while two operators publish."""
        if now - self._disputed > self._human_silence:
            return None
        return Rejection(
            "operators",
            "two nodes publish human_command, so the state of the takeover button is ambiguous: "
            "stop one of them; the controller holds while both publish",
        )

    def _policy_fault(self, now: float) -> Rejection | None:
        """Why the policy must not act, although a person may."""
        if self._takeover.authority is not ControlAuthority.POLICY or not self._running:
            return None
        if self._rejected_chunks >= TRIP_CHUNKS:
            return Rejection(
                TRIP,
                f"{TRIP_CHUNKS} action chunks in a row were rejected: the policy does not act "
                "until the next episode; check the policy's model and units",
            )
        if self._response.still:
            return Rejection(
                "still",
                "the robot has not moved since the episode began, although its set-point was "
                f"max_tracking_error away for {PATIENCE_S:g} s: check that its driver is enabled "
                "and executes commands, and that the robot is free to move; the policy acts again "
                "once the robot has moved",
            )
        absent = self._takeover.absent(now) if self._operator_required else ""
        if not absent:
            return None
        return Rejection(
            "operator",
            f"no operator can take over: {absent}: the policy does not act until commands arrive "
            "with the takeover button released; check the operator node and its device",
        )

    def _count_rejection(self, chunk: ActionChunk, rejection: Rejection) -> Rejection:
        """Count the rejected chunks in a row, and add the consequence to the message."""
        if chunk.episode == self._episode:
            self._rejected_chunks += 1
        return Rejection(
            rejection.code,
            f"{rejection.message}; after {TRIP_CHUNKS} rejected chunks in a row the policy does "
            "not act until the next episode",
        )

    # ---- Decision -------------------------------------------------------------------------------

    def _choose(self, tick: int, now: float) -> Planned:
        """Human, else policy, else hold."""
        if self._takeover.authority is ControlAuthority.HUMAN:
            return self._human(now)
        planned = self._scheduler.action(tick) if self._running else NOTHING
        self._stretched += planned.stretched
        return planned

    def _human(self, now: float) -> Planned:
        """The person's increment, blended in from zero; the previous motion does not continue.

        The limiter brakes the previous motion as in a hold. A command that is too old is not
        repeated: the robot holds until the next one, which is blended in again.
        """
        increment = self._takeover.increment
        if increment is None or now - self._takeover.received > self._max_age:
            self._human_ticks = 0
            return NOTHING
        self._human_ticks += 1
        if self._human_ticks > self._blend_ticks:
            return Planned(increment.astype(np.float32), Source.HUMAN)
        weight = self._human_ticks / (self._blend_ticks + 1)
        return Planned((weight * increment).astype(np.float32), Source.BLEND)

    # ---- Output ---------------------------------------------------------------------------------

    def _send(
        self, tick: int, planned: Planned, measured: NDArray[np.float64] | None
    ) -> ControlStep:
        """Limit the chosen action and make its record."""
        command = self._limiter.limit(planned.increment, measured)
        if measured is not None:
            self._response.see(command.setpoint, measured)
        self._limited.update(command.limited)
        return ControlStep(
            episode=self._episode if self._running else 0,
            tick=tick,
            increment=command.increment.astype(np.float32),
            setpoint=command.setpoint,
            source=planned.source,
            obs_tick=planned.obs_tick,
            policy_version=planned.policy_version,
            limited=command.limited,
            fault="" if self.fault is None else self.fault.code,
        )

    def _reject(self, source: str, rejection: Rejection) -> Rejection:
        self.rejections[f"{source}.{rejection.code}"] += 1
        return rejection
