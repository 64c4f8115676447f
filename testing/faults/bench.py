"""The bench: real nodes around a logging robot, and the oracle that judges what it was sent.

The oracle of every row:

1. every set-point that the robot received is finite and inside the workspace, velocity and
   acceleration limits of its configuration, and is in `control_step`;
2. where the controller must hold, the set-point stands still 100 ms after the first HOLD tick, and
   that tick comes within the fault's detection time plus 100 ms;
3. exactly one line of level ERROR over all processes' logs, which names what is wrong;
4. no tick of the policy between the hold and the condition that ends it, and ticks after it;
5. never more commands than control periods, so that nothing is caught up in a burst.
"""

from __future__ import annotations

import math
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from axis_columns import AxisColumns
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from robot_files import sim_robot
from steady import STALL_S, MachineStalled, urgent

from rlt_core.contract import Contract
from rlt_core.control.motion_limits import MotionLimits
from rlt_core.records import EpisodeKind, Source
from rlt_core.records import EpisodeState as EpisodeRecord
from rlt_interfaces.msg import ControlStep, EpisodeState
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, seconds

from .arm import COMMAND_TIMEOUT_S, LoggingArm, Sent
from .stubs import EpisodeDriver, StubPolicy
from .watch import LOOK_S, Watch

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "ethernet"
DELAY_TICKS = 4
AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": DELAY_TICKS}
STOP_S = 0.1  # T_stop
POLICY = (Source.BASE, Source.ACTOR)
PERSON = (Source.HUMAN, Source.BLEND)
CLOCK_S = 0.005  # the wall clock is slewed now and then
TOO_LATE = re.compile("free the CPU|raise planning_delay_ticks")  # what only a busy machine causes
EXACT = 1e-9  # m or rad: beyond the rounding of a quaternion


@dataclass(frozen=True)
class Step:
    """One control step: when it was received (monotonic) and stamped, s, and its content."""

    at: float
    stamp: float
    tick: int
    episode: int
    source: Source
    setpoint: tuple[float, ...]
    limited: tuple[str, ...]
    fault: str
    obs_tick: int
    policy_version: int
    increment: tuple[float, ...]


@dataclass(frozen=True)
class Hold:
    """A hold that was seen: the fault's time, its first tick, and when that was received."""

    tick: int
    at: float
    delay: float


@dataclass(frozen=True)
class Limits:
    """What no set-point may leave: arrays (4,), SI, per tick."""

    low: Any
    high: Any
    velocity: Any
    acceleration: Any

    @classmethod
    def of(cls, limits: MotionLimits, dt: float) -> Limits:
        """The limits of a robot's configuration."""
        columns = AxisColumns.of(limits)
        return cls(
            np.array(columns.position_min), np.array(columns.position_max),
            np.array(columns.velocity) * dt, np.array(columns.acceleration) * dt * dt,
        )


class Bench(Watch):
    """One fault's graph.

    Args:
        graph: As of `Watch`.
        observed: Whether the stub policy answers the real observer's observations, instead of
            the controller's ticks.
        policy: Whether the policy is a stub.
        episodes: Whether the episodes are a stub.
        clock: Whether the robot publishes /clock.
        judges_pace: Whether late ticks and late chunks are the tested fault and not the machine's.

    Attributes:
        arm: The robot.
        motion_limits: Its motion limits as configured; `limits` the same per tick.
        policy: The stub policy.
        episodes: The stub of the episodes node.
        steps: Every control step received.
        state, states: Newest state of the real episodes node, None without one; all of them.
        closing: What must end with the bench.
    """

    def __init__(
        self, graph: Any, *, observed: bool = False, policy: bool = True, episodes: bool = True,
        clock: bool = False, judges_pace: bool = False,
    ) -> None:
        super().__init__(graph)
        self.judges_pace = judges_pace
        self.contract = Contract.load(MODEL / "contract.json").replace(
            planning_delay_ticks=DELAY_TICKS
        )
        self.motion_limits = sim_robot().limits
        self.limits = Limits.of(self.motion_limits, self.contract.dt)
        self.steps: list[Step] = []
        self.state: EpisodeRecord | None = None
        self.states: list[EpisodeRecord] = []
        self._context = Context()
        rclpy.init(context=self._context, domain_id=graph.domain)
        self._executor = EventsExecutor(context=self._context)
        self._worst_sleep = 0.0  # of an ordinary thread, as most of the nodes' are
        self._nodes: list[Node] = []
        self.closing: list[Callable[[], None]] = []
        self.arm = LoggingArm(self.node("robot"), self.contract, clock)
        self.policy = StubPolicy(self.node("stub"), self.contract, observed) if policy else None
        self.episodes = (
            EpisodeDriver(self.node("driver"), self.contract, "faults") if episodes else None
        )
        self._watcher = self.node("watcher")
        self.listen(ControlStep, "control_step", qos.LOG, self._on_step)
        if not episodes:
            self.listen(EpisodeState, "episode_state", qos.BARRIER, self._on_episode)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="bench", daemon=True)
        self._thread.start()

    def node(self, name: str) -> Node:
        """A node of the bench in the graph's namespace."""
        made = Node(
            name, namespace="/rlt", context=self._context, start_parameter_services=False,
            enable_rosout=False,
        )
        self._nodes.append(made)
        self._executor.add_node(made)
        return made

    def close(self) -> None:
        """End the bench; the graph's processes are the fixture's."""
        self._closing.set()
        self._thread.join()
        self.arm.close()
        for close in self.closing:
            close()
        for node in self._nodes:
            node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        urgent()
        while not self._closing.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_step(self, message: ControlStep) -> None:
        self.steps.append(
            Step(
                time.monotonic(), seconds(message.header.stamp), message.tick,
                message.episode, Source(message.source),
                tuple(message.setpoint), tuple(message.limited), message.fault,
                message.obs_tick, message.policy_version, tuple(message.increment),
            )
        )
        if self.policy is not None:
            self.policy.on_step(message.tick)

    def _on_episode(self, message: EpisodeState) -> None:
        self.states.append(episode_from_msg(message))
        if self.state is None or message.episode >= self.state.episode:
            self.state = self.states[-1]
            if self.policy is not None:
                self.policy.follow(self.state)

    # ---- Driving the graph --------------------------------------------------------------------

    def start(self, *names: str, **parameters: Any) -> None:
        """Start real nodes under the bench's contract."""
        for name in names:
            self.graph.start(name, **AGREED, **parameters)

    def listen(
        self, kind: Any, topic: str, profile: Any, callback: Callable[[Any], None]
    ) -> None:
        """Have a topic's messages handed to a function, in the bench's thread."""
        self._watcher.create_subscription(kind, topic, callback, profile)

    def heard(self, kind: Any, topic: str, profile: Any) -> list[Any]:
        """A list that fills with the messages of a topic."""
        messages: list[Any] = []
        self.listen(kind, topic, profile, messages.append)
        return messages

    def publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        """A publisher of the bench."""
        return self._watcher.create_publisher(kind, topic, profile)

    def pause(self) -> None:
        """Wait a little, and note by how much too long it took."""
        slept = time.monotonic()
        super().pause()
        self._worst_sleep = max(self._worst_sleep, time.monotonic() - slept - LOOK_S)

    def begin(self, kind: EpisodeKind = EpisodeKind.TRAIN) -> None:
        """Open an episode of the stub and wait until its first tick."""
        self.wait(lambda: self.steps, "the controller's first tick")
        self.wait(lambda: self.episodes.followed, "the controller to subscribe to the heartbeat")
        state = self.episodes.begin(self.steps[-1].tick + 1, kind)
        if self.policy is not None:
            self.policy.follow(state)
        self.wait(lambda: self.steps[-1].tick >= state.start_tick, "the episode's first tick")

    def end_episode(self) -> None:
        """End the stub's episode now."""
        state = self.episodes.end(self.steps[-1].tick + 1)
        if self.policy is not None:
            self.policy.follow(state)

    def drive(self, kind: EpisodeKind = EpisodeKind.TRAIN) -> None:
        """Open an episode and wait until the policy drives steadily; what follows is judged."""
        self.begin(kind)
        self.steady()
        self.quiet()
        self.forgive()
        self.mark()

    def steady(self, ticks: int = 15) -> None:
        """Wait until the policy has driven for some consecutive ticks."""
        self.wait(
            lambda: len(self.steps) > ticks
            and all(step.source in POLICY for step in self.steps[-ticks:]),
            "the policy to drive",
        )

    def pass_ticks(self, count: int) -> None:
        """Wait for some control ticks."""
        first = len(self.steps)
        self.wait(lambda: len(self.steps) >= first + count, f"{count} ticks")

    def stopped_alone(self, fault: float, until: float) -> float:
        """Check that the arm stopped by its own time-out; return how long after the fault, s."""
        path = [(at, place) for at, place in self.arm.path if fault - STOP_S < at < until]
        moves = [
            at for (_, before), (at, after) in zip(path, path[1:], strict=False)
            if np.abs(after - before).max() > EXACT
        ]
        last = max(moves, default=fault) - fault
        assert last <= COMMAND_TIMEOUT_S + 2 * self.contract.dt, f"the arm moved for {last:.3f} s"
        return max(0.0, last)

    # ---- The oracle ---------------------------------------------------------------------------

    def forgive(self) -> None:
        """Reset the lateness of the bench: what happened up to now is not judged."""
        self.arm.worst_lateness = self._worst_sleep = 0.0

    @property
    def stalled(self) -> str:
        """How the machine kept bench or nodes from running in time; empty if it did not."""
        late = max(self.arm.worst_lateness, self._worst_sleep)
        if late > STALL_S:
            return f"the bench was {1e3 * late:.0f} ms late"
        if self.judges_pace:
            return ""
        return next((line for line in self.errors() if TOO_LATE.search(line)), "")

    def since(self, at: float) -> list[Step]:
        """The control steps received since a moment."""
        return self.steps[bisect_left(self.steps, at, key=lambda step: step.at) :]

    def held(self, fault: float, detection: float, ticks: int = 10) -> Hold:
        """Wait for the hold that a fault at `fault` must cause, and judge it.

        Args:
            fault: When the fault was injected, monotonic seconds.
            detection: How long it may take to be detected, s.
            ticks: Minimum number of ticks for which the hold is watched.
        """
        self.wait(
            lambda: any(s.source is Source.HOLD for s in self.since(fault)), "a hold",
            detection + 10.0,
        )
        first = next(s for s in self.since(fault) if s.source is Source.HOLD)
        self.pass_ticks(ticks)
        delay = first.at - fault
        assert delay <= detection + STOP_S, (
            f"first HOLD tick {delay:.3f} s after the fault, expected {detection + STOP_S:.3f}"
        )
        self._stands_still(first.at + STOP_S, self.steps[-1].at)
        return Hold(first.tick, first.at, delay)

    def _stands_still(self, begin: float, end: float) -> None:
        """No set-point in this time differs from the one before it, while the hold lasts."""
        holding = [s.at for s in self.steps if s.source is not Source.HOLD and s.at > begin]
        end = min([end, *holding])
        log = [sent for sent in self.arm.log if begin <= sent.at <= end]
        for before, after in zip(log, log[1:], strict=False):
            moved = float(np.abs(after.setpoint - before.setpoint).max())
            assert moved <= EXACT, f"moved by {moved:.3g} in a hold, at {after.at - begin:.3f} s"

    def no_policy(self, begin: float, end: float | None = None) -> None:
        """Check that the policy has no tick in this time."""
        acted = [
            step.tick for step in self.since(begin)
            if step.source in POLICY and (end is None or step.at < end)
        ]
        assert not acted, f"the policy acted at ticks {acted[:5]} before it was allowed to"

    def resumes(self, condition: float, seconds: float = 10.0) -> int:
        """Wait for the policy to act again; return how many ticks after the condition it did."""
        self.wait(
            lambda: any(s.source in POLICY for s in self.since(condition)),
            "the policy to act again", seconds,
        )
        later = self.since(condition)
        first = next(s for s in later if s.source in POLICY)
        return first.tick - later[0].tick

    def next_episode_drives(self) -> None:
        """End the stub's episode, and wait until the policy drives steadily in the next one."""
        self.end_episode()
        self.pass_ticks(5)
        began = time.monotonic()
        self.begin()
        self.resumes(began)
        self.steady()

    def judge(self, killed: float = math.inf) -> None:
        """Judge everything that the robot received, and whether all could run in time.

        Args:
            killed: When the controller was killed: a set-point sent at that moment has no record.
        """
        self.pass_ticks(1)
        if self.stalled:
            raise MachineStalled(self.stalled)
        self.judge_setpoints(killed)

    def judge_setpoints(self, killed: float = math.inf) -> None:
        """Judge everything that the robot received; see `judge`."""
        log = list(self.arm.log)
        setpoints = np.array([sent.setpoint for sent in log]).reshape(-1, 4)
        assert len(setpoints), "the robot received nothing"
        assert np.isfinite(setpoints).all(), "a set-point is not finite"
        low, high = setpoints - self.limits.low, self.limits.high - setpoints
        assert min(low.min(initial=0.0), high.min(initial=0.0)) >= -EXACT, "left the workspace"
        self._check_motion(killed)
        self._check_bursts()

    def _check_motion(self, killed: float) -> None:
        """Velocity and acceleration of every set-point, counted in control ticks.

        A set-point belongs to the control step that was stamped next; where one was lost, the
        next one has the time of two.
        """
        cursor = -1
        last: Step | None = None
        before, increment = np.zeros(4), np.zeros(4)
        log = self.arm.log
        for number, sent in enumerate(log):
            following = log[number + 1].stamp if number + 1 < len(log) else math.inf
            if following < sent.stamp:  # the clock was set back
                following = math.inf
            index = self._step_of(sent, cursor + 1, following)
            if index is None:
                on_its_way = sent.at > self.steps[-1].at - STOP_S or 0.0 < killed - sent.at < STOP_S
                near = [
                    (step.tick, round(step.stamp - sent.stamp, 4), step.setpoint)
                    for step in self.steps[max(0, cursor - 2) : cursor + 5]
                ]
                assert on_its_way, (
                    f"set-point {number} of {len(log)}, {sent.setpoint}, followed after "
                    f"{following - sent.stamp:.4f} s, is in no control step: {near}"
                )
                continue
            cursor, step = index, self.steps[index]
            if last is None or step.episode not in (0, last.episode):
                increment, before = np.zeros(4), self._arm_at(sent.at)  # starts again, at rest
                ticks = 1
            else:
                ticks = step.tick - last.tick
            moved = (sent.setpoint - before) / ticks
            assert (np.abs(moved) <= self.limits.velocity + EXACT).all(), (
                f"tick {step.tick}: moved by {moved} per tick"
            )
            change = np.abs(moved - increment)
            assert (change <= ticks * self.limits.acceleration + EXACT).all(), (
                f"tick {step.tick}: the increment changed by {change}"
            )
            last, before, increment = step, sent.setpoint, moved

    def _step_of(self, sent: Sent, first: int, following: float) -> int | None:
        """Index of the control step that reports a set-point, None if none does.

        It is stamped once the set-point was sent, and before the `following` one was stamped.
        """
        for index in range(first, len(self.steps)):
            step = self.steps[index]
            if step.stamp > following + CLOCK_S:
                return None
            sent_before = step.stamp > sent.stamp - CLOCK_S
            if sent_before and np.abs(np.array(step.setpoint) - sent.setpoint).max() <= EXACT:
                return index
        return None

    def _arm_at(self, at: float) -> Any:
        """Where the arm was then."""
        return next(position for time_, position in reversed(self.arm.path) if time_ < at)

    def _check_bursts(self) -> None:
        """No window of ten periods has more than ten commands, and two for the window's edges.

        Receipt may bunch what was sent evenly, so the controller's stamps must agree.
        """
        window, most = 10 * self.contract.dt, 10 + 2
        for first, last in zip(self.arm.log, self.arm.log[most:], strict=False):
            took = max(last.at - first.at, last.stamp - first.stamp)
            assert took > window, f"{most + 1} commands within {took:.3f} s"
