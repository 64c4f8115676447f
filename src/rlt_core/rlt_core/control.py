"""The control loop: per tick human, else policy, else hold; guarded; recorded as sent."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.gate import Gate, Rejection
from rlt_core.gate import HumanInput as HumanInput
from rlt_core.guard import Guard
from rlt_core.pace import Lateness, Pace
from rlt_core.records import (
    ActionChunk,
    ControlStep,
    EpisodeState,
    RobotState,
    Source,
)
from rlt_core.response import PATIENCE_S, Response
from rlt_core.scheduler import NOTHING, ChunkScheduler, Planned
from rlt_core.settings import ChunkSettings, GuardSettings
from rlt_core.takeover import Grip, Takeover

EARLY_CHUNKS = 4
"""Chunks of an episode that this loop has not heard of yet; more would be a policy gone wild."""
TRIP_CHUNKS = 3
"""So many chunks in a row that are refused for what they contain end the policy's turn."""
LATCHED = ("jump", "state", "leader")
"""Troubles after which only a new episode moves the robot again."""
LEADER_SILENCE_S = 0.35
"""Real time: so long whoever leads the episodes may be silent, s. Its word comes ten times a
second, and half a second after the last one the robot stands still."""


@dataclass(frozen=True)
class ControlHealth:
    """What the control loop has to tell about itself.

    Attributes:
        trouble: Why the robot holds now, None while all is well.
        takeover: Who may move the robot.
        rejections: Number of refused inputs by "source.code", e.g. "chunk.nonfinite".
        holds: How often the robot began to hold, by the code of the trouble.
        limited: Ticks at which a limit changed the command, by the limit's name.
        underruns: Ticks of a running episode without a chunk though the policy should act.
        stretched: Ticks that bridged a late chunk.
        lateness: How late the ticks were; all zero in lockstep.
    """

    trouble: Rejection | None
    takeover: Grip
    rejections: Mapping[str, int]
    holds: Mapping[str, int]
    limited: Mapping[str, int]
    underruns: int
    stretched: int
    lateness: Lateness


class ControlLoop:
    """Chooses, guards and records one command per tick.

    It trusts nobody: whatever is refused, stale or missing ends in a decelerated hold. After a
    takeover, and after any trouble that held the robot, the policy acts again only on a chunk
    that was observed since. Calls must not overlap: one thread, or a lock around each.

    Args:
        contract: The contract of the run.
        limits: Motion limits.
        chunks: How late chunks and takeovers are handled.
        real_time: Whether receipt times are monotonic seconds; else they are ticks.

    Raises:
        ValueError: If a limit is missing or invalid.

    Attributes:
        pace: The clock of real time, which the caller beats at every tick, also where no episode
            is executed; unused in lockstep.
        conflict: Why nobody here may move the robot, set by the caller as long as it lasts, e.g.
            since another node commands it too, or nobody hears the commands; None while there is
            nothing of the kind.
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
        unit = contract.dt if real_time else 1.0
        self.pace = Pace(contract.dt, limits.max_age_ticks)
        self.conflict: Rejection | None = None
        self.trouble: Rejection | None = None
        self.rejections: Counter[str] = Counter()
        self._guard = Guard(contract.action, contract.dt, limits)
        self._gate = Gate(contract, self._guard.max_increment, self._guard.leash)
        self._response = Response(self._guard.leash, contract.action.circular, contract.dt)
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
        self._refused = 0
        self._sequence = -1
        self._disputed = -math.inf
        self._human_ticks = 0
        self._holds: Counter[str] = Counter()
        self._limited: Counter[str] = Counter()
        self._underruns = 0
        self._stretched = 0

    def unfit(self, state: RobotState | None, now: float) -> Rejection | None:
        """Why no episode can start in this robot state at the time `now`; None if one can.

        That is the trouble until one starts, or the episode that did not is over.
        """
        if state is None:
            self.trouble = Rejection(
                "stale", "no robot state has come yet: start the robot driver or remap its topics"
            )
        else:
            self.trouble = (
                self.conflict or self._leader_trouble(now) or self._state_trouble(state, None, now)
            )
        return self.trouble

    def hear_leader(self, now: float) -> None:
        """Real time: whoever leads the episodes has spoken at the monotonic time `now`, s."""
        self._led_at = now

    def start(self, episode: EpisodeState, measured: NDArray[np.float64]) -> None:
        """Begin an episode at rest, with the measured position (A,) as the set-point sent last.

        Raises:
            ValueError: If the measured position is no finite vector of A elements.
        """
        self._guard.start(measured)
        self._response.begin(measured)
        self._scheduler.start(episode)
        self._episode = episode.episode
        self._running = True
        self._next_tick = episode.start_tick
        self._state = None
        self._fault = None
        self._refused = 0
        self.trouble = None
        self._human_ticks = 0
        early = [chunk for chunk in self._early if chunk.episode >= episode.episode]
        self._early.clear()
        for chunk in early:
            self.offer_chunk(chunk)

    def stop(self) -> None:
        """End the episode: the policy acts no more; later steps belong to episode 0."""
        if not self._running:  # what the last episode's ticks found is over with it
            self.trouble = None
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
            return self._refuse("chunk", self._count_refusal(chunk, checked))
        late = self._scheduler.offer(checked, self._next_tick)
        if late is not None:
            return self._refuse("chunk", late)
        if self._refused < TRIP_CHUNKS:
            self._refused = 0
        return None

    def offer_human(self, human: HumanInput) -> Rejection | None:
        """Take in a person's command.

        A refused command of a person who holds the button is a hold, never the policy; so is a
        fault of the device, which is told as `trouble` where it matters. Where two operators speak
        nobody knows who holds a button: that is a hold as long as both are heard.

        Returns:
            Why the command is refused, None if it is accepted.
        """
        if human.sequence <= self._sequence and not self._takeover.silent(human.received):
            self._disputed = human.received
            return self._refuse(
                "human",
                Rejection(
                    "sequence",
                    f"human command {human.sequence} came after {self._sequence}: dropped; check "
                    "that one operator node publishes human_command",
                ),
            )
        self._sequence = human.sequence
        if human.fault:
            self._takeover.fault(human.fault)
            return None
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
        before = self.trouble
        latch = self._takeover.check(now)
        self.trouble = (
            self._robot_trouble(state, now) or latch or self._dispute(now)
            or self._policy_trouble(now)
        )
        planned = self._choose(tick, now) if self.trouble is None else NOTHING
        grip = self._takeover.grip
        if grip is not Grip.HUMAN or self.trouble is not None:
            self._human_ticks = 0
        if self.trouble is not None or grip is not Grip.POLICY:
            self._scheduler.flush(tick + 1)
        elif self._running and planned.increment is None:
            self._underruns += 1
            self.trouble = self._scheduler.silence(tick)
        if self.trouble is not None and (before is None or before.code != self.trouble.code):
            self._holds[self.trouble.code] += 1
        measured = None if self._state is not state else state.position
        return self._send(tick, planned, measured)

    def health(self) -> ControlHealth:
        """How the loop is, and what it has refused and limited since it was made."""
        return ControlHealth(
            self.trouble or self.conflict,
            self._takeover.grip,
            dict(self.rejections),
            dict(self._holds),
            dict(self._limited),
            self._underruns,
            self._stretched,
            self.pace.summary(),
        )

    # ---- What is wrong --------------------------------------------------------------------------

    def _robot_trouble(self, state: RobotState, now: float) -> Rejection | None:
        """Why nobody may move the robot; else the state becomes the newest usable one."""
        if self._fault is not None:
            return self._fault
        if self.conflict is not None:
            return self.conflict
        if self.pace.trouble is not None:
            return self.pace.trouble
        if self._running and (leaderless := self._leader_trouble(now)) is not None:
            self._fault = leaderless
            return leaderless
        rejection = self._state_trouble(state, self._state, now)
        if rejection is None:
            self._state = state
            return None
        if rejection.code in LATCHED:
            self._fault = rejection
        return self._refuse("state", rejection)

    def _leader_trouble(self, now: float) -> Rejection | None:
        """Why nobody may move the robot although nothing is wrong with it: its leader is gone."""
        silence = now - self._led_at
        if not self._real_time or silence <= LEADER_SILENCE_S:
            return None
        if silence == math.inf:
            return Rejection(
                "leader",
                "no episode_heartbeat has come yet, without which no episode is driven: check that "
                "whoever publishes episode_state publishes it, too",
            )
        return Rejection(
            "leader",
            f"no episode_state has come for {silence:.2f} s, more than {LEADER_SILENCE_S:g} s: the "
            "episodes node has ended or hangs; the controller holds until the next episode: start "
            "the launch again",
        )

    def _state_trouble(
        self, state: RobotState, previous: RobotState | None, now: float
    ) -> Rejection | None:
        """Why a robot state cannot be used after the `previous` good one."""
        rejection = self._gate.check_state(state, previous)
        if rejection is not None or now - state.received <= self._max_age:
            return rejection
        return Rejection(
            "stale",
            f"robot state of tick {state.tick} is {now - state.received:.3g} "
            f"{'s' if self._real_time else 'ticks'} old, more than {self._max_age:.3g}: check "
            "that its driver publishes, with stamps that go on; the controller holds until a fresh "
            "one comes",
        )

    def _dispute(self, now: float) -> Rejection | None:
        """Why nobody drives while two operators speak."""
        if now - self._disputed > self._human_silence:
            return None
        return Rejection(
            "operators",
            "two nodes publish human_command, so nobody knows who holds the takeover button: end "
            "one of them; the controller holds while both are heard",
        )

    def _policy_trouble(self, now: float) -> Rejection | None:
        """Why the policy must not act, though a person may."""
        if self._takeover.grip is not Grip.POLICY or not self._running:
            return None
        if self._refused >= TRIP_CHUNKS:
            return Rejection(
                "trip",
                f"{TRIP_CHUNKS} action chunks in a row were refused: the policy does not act until "
                "the next episode; check the policy's model and units",
            )
        if self._response.still:
            return Rejection(
                "still",
                "the robot has not moved since the episode began, with its set-point a leash away "
                f"for {PATIENCE_S:g} s: check that its driver is enabled and does what it hears, "
                "and that the robot is free; the policy acts again once it has moved",
            )
        absent = self._takeover.absent(now) if self._operator_required else ""
        if not absent:
            return None
        return Rejection(
            "operator",
            f"nobody could take over: {absent}: the policy does not act until commands come with "
            "the takeover button up; check the operator node and its device",
        )

    def _count_refusal(self, chunk: ActionChunk, rejection: Rejection) -> Rejection:
        """Count the refused chunks in a row, and say what they lead to."""
        if chunk.episode == self._episode:
            self._refused += 1
        return Rejection(
            rejection.code,
            f"{rejection.message}; {TRIP_CHUNKS} refusals in a row hold the policy until the next "
            "episode",
        )

    # ---- Who decides ----------------------------------------------------------------------------

    def _choose(self, tick: int, now: float) -> Planned:
        """Human, else policy, else hold."""
        if self._takeover.grip is Grip.HUMAN:
            return self._human(now)
        planned = self._scheduler.action(tick) if self._running else NOTHING
        self._stretched += planned.stretched
        return planned

    def _human(self, now: float) -> Planned:
        """The person's increment, blended in from zero: of the motion before, nothing goes on.

        The guard brakes that motion as in a hold. A command that is too old is not repeated: the
        robot holds until the next one, which is blended in again.
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

    # ---- What is sent ---------------------------------------------------------------------------

    def _send(
        self, tick: int, planned: Planned, measured: NDArray[np.float64] | None
    ) -> ControlStep:
        """Guard what was chosen and make the record of it."""
        command = self._guard.limit(planned.increment, measured)
        if measured is not None:
            self._response.see(command.setpoint, measured)
        limited = command.limited
        if self.trouble is not None and self.trouble.code in (*LATCHED, "trip"):
            limited = (*limited, self.trouble.code)
        self._limited.update(limited)
        return ControlStep(
            episode=self._episode if self._running else 0,
            tick=tick,
            increment=command.increment.astype(np.float32),
            setpoint=command.setpoint,
            source=planned.source,
            obs_tick=planned.obs_tick,
            policy_version=planned.policy_version,
            limited=limited,
        )

    def _refuse(self, source: str, rejection: Rejection) -> Rejection:
        self.rejections[f"{source}.{rejection.code}"] += 1
        return rejection
