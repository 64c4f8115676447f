"""The chunk controller: what is sent to the robot at every tick, and the record of it.

In lockstep it answers tick k when robot state, episode state and every chunk for it are there. In
real time it owns the tick and counts it 50 times a second in a thread of its own, whatever comes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.control import ControlLoop
from rlt_core.records import ControlStep, EpisodeState, Phase, RobotState, Source
from rlt_core.settings import ChunkSettings, GuardSettings, setting
from rlt_interfaces.msg import ActionChunk, HumanCommand
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
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Refused
from rlt_policy.outputs import load_output

Vector = NDArray[np.float64]
REPEAT_SECONDS = 2.0
CLOSE_SECONDS = 0.2


@dataclass(frozen=True)
class OutputSettings:
    """How the robot is driven."""

    output: str = setting("cartesian_pose", "robot output: an entry point of rlt.robot_output")


class ChunkControllerNode(GuardedNode):
    """Feeds the `ControlLoop` and sends what it decides."""

    def __init__(self) -> None:
        """Check limits and contract, connect to the robot, and start the clock if it is ours."""
        super().__init__("chunk_controller")
        self._graph = declare(self, GraphSettings)
        output = declare(self, OutputSettings).output
        limits, chunks = declare(self, GuardSettings), declare(self, ChunkSettings)
        self._contract = contract = self._graph.contract()
        self._hash = contract.hash()
        lockstep = self._graph.lockstep
        self._control = ControlLoop(contract, limits, chunks, real_time=not lockstep)
        self._lock = threading.Lock()  # real time: the clock's thread and the callbacks
        self._state: RobotState | None = None
        self._episode: EpisodeState | None = None
        self._started = 0
        self._tick = 0  # the next tick to answer
        self._told = ""
        self._answered_at = time.monotonic()
        self._steps = self.create_publisher(ControlStepMessage, "control_step", qos.LOG)
        self._output = load_output(output)(self, contract, lockstep, self._on_position)
        refuse_unknown(self)  # the output has parameters of its own
        self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, qos.BARRIER)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(HumanCommand, "human_command", self._on_human, qos.COMMAND)
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._counter: threading.Thread | None = None
        if lockstep:
            self.create_timer(0.5, self._watch)
        else:
            self._counter = threading.Thread(target=self._count, name="control", daemon=True)
            self._counter.start()
            self.create_timer(0.5, self._check)

    def close(self) -> None:
        """Stop the clock: the robot keeps the last set-point that was sent."""
        self._closing.set()
        if self._counter is not None:
            self._counter.join(CLOSE_SECONDS)  # no tick may publish into a destroyed node

    # ---- What comes in ------------------------------------------------------------------------

    def _on_position(self, tick: int, position: Vector, fault: str) -> None:
        with self._lock:
            lockstep = self._graph.lockstep
            received = float(tick) if lockstep else time.monotonic()
            self._state = RobotState(tick if lockstep else self._tick, position, received, fault)
        self._answer_if_complete()

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._graph.lockstep and message.contract_hash != self._hash:
            self._contract.require(message.contract_hash, "the policy")  # nothing else would come
        with self._lock:
            rejection = self._control.offer_chunk(chunk_from_msg(message))
        if rejection is not None:
            self._complain(f"action_chunk from policy: {rejection.message}")
        self._answer_if_complete()

    def _on_human(self, message: HumanCommand) -> None:
        with self._lock:
            received = float(self._tick) if self._graph.lockstep else time.monotonic()
            rejection = self._control.offer_human(human_from_msg(message, received))
        if rejection is not None:
            self._complain(f"human_command: {rejection.message}")

    def _on_episode(self, message: EpisodeMessage) -> None:
        with self._lock:
            if self._episode is not None and message.episode < self._episode.episode:
                return  # the label of an earlier episode was corrected
            self._episode = episode_from_msg(message)
            if self._episode.phase is not Phase.RUNNING:
                self._control.stop()
        self._answer_if_complete()

    # ---- Lockstep -----------------------------------------------------------------------------

    def _answer_if_complete(self) -> None:
        """Answer the simulator's tick once nothing is missing for it."""
        state, episode = self._state, self._episode
        if not self._graph.lockstep or state is None or episode is None:
            return
        if episode.phase is not Phase.RUNNING or state.tick < episode.start_tick:
            return
        self._start(episode, state)
        if state.tick == self._tick <= episode.tick and self._control.ready(state.tick):
            self._answered_at = time.monotonic()
            self._execute(self._control.step(state.tick, state))

    def _watch(self) -> None:
        """End the run if a node keeps everybody waiting in the middle of an episode."""
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
        """Tick at the control rate; a late tick is not made up for."""
        due = time.monotonic()
        try:
            while not self._closing.is_set():
                with self._lock:
                    self._tick_once(time.monotonic())
                due = max(due + self._contract.dt, time.monotonic())
                self._closing.wait(due - time.monotonic())
        except Exception as error:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _tick_once(self, now: float) -> None:
        """Drive a running episode, slow down after it, and send nothing while others reset."""
        state, episode = self._state, self._episode
        if state is not None and episode is not None and episode.start_tick <= self._tick:
            if episode.phase is Phase.RUNNING:
                self._start(episode, state)
            if self._started == episode.episode and episode.phase in (Phase.RUNNING, Phase.ENDED):
                self._execute(self._control.step(self._tick, state, now))
                return
        nothing = np.zeros(self._contract.action.size)
        position = nothing if state is None else state.position
        self._record(
            ControlStep(0, self._tick, nothing.astype(np.float32), position, Source.HOLD)
        )

    # ---- What goes out ------------------------------------------------------------------------

    def _start(self, episode: EpisodeState, state: RobotState) -> None:
        """Begin the episode at rest where the robot is, once."""
        if self._started == episode.episode:
            return
        self._started = episode.episode
        if self._graph.lockstep:
            self._tick = state.tick
        self._answered_at = time.monotonic()
        self._control.start(episode, state.position)

    def _execute(self, step: ControlStep) -> None:
        """Send a step to the robot, then record it."""
        self._output.send(step.tick, step.setpoint)
        self._record(step)
        trouble = self._control.trouble
        self._tell(trouble.message if trouble else "")

    def _record(self, step: ControlStep) -> None:
        message = step_to_msg(step, self._contract.action.names)
        message.header.stamp = (
            stamp_of_tick(step.tick, self._contract.rate_hz)
            if self._graph.lockstep
            else self.get_clock().now().to_msg()
        )
        self._steps.publish(message)
        self._tick = step.tick + 1

    def _complain(self, refusal: str) -> None:
        """Log a refused input."""
        self.get_logger().error(refusal, throttle_duration_sec=REPEAT_SECONDS)

    def _tell(self, trouble: str) -> None:
        """Log why the robot holds when that begins or changes, not at every tick."""
        if trouble != self._told and trouble:
            self.get_logger().error(f"holding: {trouble}", throttle_duration_sec=REPEAT_SECONDS)
        self._told = trouble
