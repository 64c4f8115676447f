"""The chunk controller: decides what is sent to the robot at every tick, and records it.

In lockstep it answers tick k once robot state, episode state and every chunk for it have arrived.
In real time it owns the tick and counts it 50 times a second in its own thread, whatever arrives.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.control_clock import WallClock
from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.rejection import Rejection
from rlt_core.records import ControlStep, EpisodeState, Phase, RobotState, Source
from rlt_core.settings import ChunkSettings, MotionLimits, setting
from rlt_interfaces.msg import ActionChunk, HumanCommand, Observation
from rlt_interfaces.msg import ControlStep as ControlStepMessage
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import (
    chunk_from_msg,
    episode_from_msg,
    human_from_msg,
    stamp_of_tick,
    step_to_msg,
)
from rlt_node.diagnostics import Diagnostics, Health
from rlt_node.fault_log import FaultLog
from rlt_node.graph import GraphSettings
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.priority import claim_priority
from rlt_node.process import Refused
from rlt_node.rates import Rate
from rlt_policy.controller.command_topics import CommandTopics
from rlt_policy.controller.health import controller_health, source_of
from rlt_policy.controller.observation_watch import ObservationWatch
from rlt_policy.outputs import load_output

Vector = NDArray[np.float64]
CLOSE_SECONDS = 0.2


@dataclass(frozen=True)
class OutputSettings:
    """How the robot is driven."""

    output: str = setting("cartesian_pose", "robot output: an entry point of rlt.robot_output")
    realtime_priority: int = setting(
        10, "real time: SCHED_FIFO priority of the process if the system grants it; 0: none",
        low=0, high=98,
    )


class ChunkControllerNode(FailFastNode):
    """Feeds the `ControlLoop` and sends what it decides."""

    def __init__(self) -> None:
        """Check limits and contract, connect to the robot, and in real time start the clock."""
        super().__init__("chunk_controller")
        self._graph = declare(self, GraphSettings)
        self._settings = declare(self, OutputSettings)
        limits, chunks = declare(self, MotionLimits), declare(self, ChunkSettings)
        self._contract = contract = self._graph.contract()
        self._hash = contract.hash()
        lockstep = self._graph.lockstep
        self._control = ControlLoop(contract, limits, chunks, real_time=not lockstep)
        self._lock = threading.Lock()  # real time: the clock's thread and the callbacks
        self._state: RobotState | None = None
        self._episode: EpisodeState | None = None
        self._started = 0
        # The next tick to answer. In real time it starts at the monotonic clock: a restarted
        # controller never repeats a tick of the previous one.
        self._tick = self._first_tick = (
            0 if lockstep else int(time.monotonic() * contract.rate_hz)
        )
        self._answered_at = time.monotonic()
        self._observed = ObservationWatch()
        self._unseen_fault = ""
        self._fault_log, self._rate = FaultLog(self.get_logger()), Rate()
        self._wall = WallClock()
        self._steps = self.create_publisher(ControlStepMessage, "control_step", qos.LOG)
        self._output = load_output(self._settings.output)(
            self, contract, limits, lockstep, self._on_position
        )
        refuse_unknown(self)  # the output declares its own parameters
        self._commands = CommandTopics(self, self._output.commands)
        self._connect(lockstep)

    def _connect(self, lockstep: bool) -> None:
        """Subscribe to the other nodes, and in real time start the clock."""
        self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, qos.BARRIER)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(HumanCommand, "human_command", self._on_human, qos.COMMAND)
        Diagnostics(self, self._health)
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._counter: threading.Thread | None = None
        if lockstep:
            self.create_timer(0.5, self._watch)
            return
        self.create_subscription(
            Observation, "observation", lambda _: self._observed.hear(time.monotonic()),
            qos.COMMAND, raw=True,
        )
        self.create_subscription(
            EpisodeMessage, "episode_heartbeat", self._on_heartbeat, qos.COMMAND
        )
        self.create_timer(0.5, self._check)
        self._counter = threading.Thread(target=self._count, name="control", daemon=True)
        self._counter.start()

    def close(self) -> None:
        """Stop the clock: the robot keeps the last set-point that was sent."""
        self._closing.set()
        if self._counter is not None:
            self._counter.join(CLOSE_SECONDS)  # no tick may publish into a destroyed node

    # ---- Inputs -------------------------------------------------------------------------------

    def _on_position(self, tick: int, position: Vector, fault: str) -> None:
        with self._lock:
            lockstep = self._graph.lockstep
            if not lockstep:
                fault = self._unseen_fault = fault or self._unseen_fault  # until a tick has seen it
            received = float(tick) if lockstep else time.monotonic()
            self._state = RobotState(tick if lockstep else self._tick, position, received, fault)
        self._answer_if_complete()

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._graph.lockstep and message.contract_hash != self._hash:
            self._contract.require(message.contract_hash, "the policy")  # no other would arrive
        chunk = chunk_from_msg(message)
        with self._lock:
            rejection = self._control.offer_chunk(chunk)
        if rejection is not None:
            self._report("action_chunk", rejection, "action_chunk from policy")
        self._answer_if_complete()

    def _on_human(self, message: HumanCommand) -> None:
        received = float(self._tick) if self._graph.lockstep else time.monotonic()
        human = human_from_msg(message, received)
        with self._lock:
            rejection = self._control.offer_human(human)
        if rejection is not None:
            self._report("human_command", rejection, "human_command from operator")

    def _on_heartbeat(self, message: EpisodeMessage) -> None:
        """Note that the episodes node is alive; its state arrives as `episode_state`."""
        with self._lock:
            if self._episode is not None and message.run == self._episode.run:
                self._control.note_leader(time.monotonic())

    def _on_episode(self, message: EpisodeMessage) -> None:
        with self._lock:
            if self._episode is not None and message.episode < self._episode.episode:
                return  # the label of an earlier episode was corrected
            self._episode = episode_from_msg(message)
            if self._episode.phase is not Phase.RUNNING:
                self._control.stop()
                if not self._graph.lockstep:
                    self._tick = max(self._tick, self._episode.tick)
        self._answer_if_complete()

    # ---- Lockstep -----------------------------------------------------------------------------

    def _answer_if_complete(self) -> None:
        """Answer the simulator's tick once all its inputs have arrived."""
        state, episode = self._state, self._episode
        if not self._graph.lockstep or state is None or episode is None:
            return
        if episode.phase is not Phase.RUNNING or state.tick < episode.start_tick:
            return
        if self._started != episode.episode:
            self._start(episode, state)
        if state.tick == self._tick <= episode.tick and self._control.ready(state.tick):
            self._answered_at = time.monotonic()
            self._execute(self._control.step(state.tick, state))

    def _watch(self) -> None:
        """End the run if a node blocks all others in the middle of an episode."""
        state, episode = self._state, self._episode
        if time.monotonic() - self._answered_at < self._graph.silence_s:
            return
        if state is None or episode is None or episode.phase is not Phase.RUNNING:
            self._answered_at = time.monotonic()
        elif state.tick == self._tick:
            missing = "policy: no action_chunk" if state.tick <= episode.tick else (
                "episodes: no episode_state"
            )
            raise Refused(
                f"{missing} for tick {state.tick} within {self._graph.silence_s:g} s; check that "
                "node (a policy that is not active sends nothing)"
            )

    # ---- Real time ----------------------------------------------------------------------------

    def _count(self) -> None:
        """Tick at the control rate; late ticks are not caught up."""
        pace = self._control.pace
        try:
            self.get_logger().info(claim_priority(self._settings.realtime_priority))
            while not self._closing.wait(max(0.0, pace.due - time.monotonic())):
                with self._lock:
                    self._tick_once(time.monotonic())
        except Exception as error:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._commands.look()
        if change := self._wall.change(time.time(), time.monotonic()):
            self.get_logger().warning(change)

    def _tick_once(self, now: float) -> None:
        """Drive a running episode, decelerate after it, and send nothing during a reset."""
        self._control.pace.beat(now)
        self._control.blocked_by = self._commands.blocked_by()
        episode = self._episode
        if episode is not None and episode.start_tick <= self._tick:
            if episode.phase is Phase.RUNNING and self._started != episode.episode:
                self._begin(episode, now)
            if self._started == episode.episode and episode.phase in (Phase.RUNNING, Phase.ENDED):
                self._execute(self._control.step(self._tick, self._state, now))
                self._unseen_fault = ""
                return
        nothing = np.zeros(self._contract.action.size)
        position = nothing if self._state is None else self._state.position
        self._unseen_fault = ""
        self._record(ControlStep(0, self._tick, nothing.astype(np.float32), position, Source.HOLD))

    def _begin(self, episode: EpisodeState, now: float) -> None:
        """Start an episode if it began after this controller started and the robot is ready."""
        reason = self._control.not_ready(self._state, now)
        if episode.start_tick < self._first_tick:
            reason = Rejection(
                "restart",
                f"episode {episode.episode} was running when this controller started, so the "
                "controller does not drive it: abort it; the next episode is driven",
            )
        if reason is None:
            self._start(episode, self._state)
        elif reason.code != "leader" or self._tick > episode.start_tick + self._contract.rate_hz:
            self._report_fault(reason)  # the first heartbeat arrives after the first state

    # ---- Outputs ------------------------------------------------------------------------------

    def _start(self, episode: EpisodeState, state: RobotState) -> None:
        """Begin the episode at rest where the robot is."""
        self._started = episode.episode
        if self._graph.lockstep:
            self._tick = state.tick
        self._answered_at = time.monotonic()
        self._control.start(episode, state.position)

    def _execute(self, step: ControlStep) -> None:
        """Send a step to the robot, then record it."""
        self._output.send(step)
        self._record(step)
        if self._control.fault is not None:
            self._report_fault(self._control.fault)

    def _record(self, step: ControlStep) -> None:
        message = step_to_msg(step, self._contract.action.names)
        message.header.stamp = (
            stamp_of_tick(step.tick, self._contract.rate_hz)
            if self._graph.lockstep
            else self.get_clock().now().to_msg()
        )
        self._steps.publish(message)
        self._rate.count(time.monotonic())
        self._tick = step.tick + 1

    def _report_fault(self, fault: Rejection) -> None:
        """Log why the robot holds; the observer logs why the policy gets no observations."""
        source, now = source_of(fault.code, self._output.state.heard), time.monotonic()
        if fault.code == "silent" and self._observed.unanswerable(now):
            return
        self._report(source, fault, f"holding: {source}")

    def _report(self, source: str, fault: Rejection, what: str) -> None:
        self._fault_log.report(
            source, fault.code, f"{what}: {fault.message}", time.monotonic(),
            consequence=fault.code == "trip",  # each rejected chunk behind it was logged
        )

    def _health(self) -> Health:
        with self._lock:
            now, control = time.monotonic(), self._control.health()
            heard = min(self._output.state.heard.values())
            return controller_health(control, self._rate.summary("control_step", now), now - heard)
