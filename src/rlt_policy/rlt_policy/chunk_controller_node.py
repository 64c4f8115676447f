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
from rlt_core.gate import Rejection
from rlt_core.pace import WallClock
from rlt_core.rates import Rate
from rlt_core.records import ControlStep, EpisodeState, Phase, RobotState, Source
from rlt_core.settings import ChunkSettings, GuardSettings, setting
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
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.notices import Notices
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.priority import claim_priority
from rlt_node.process import Refused
from rlt_policy.command_topics import CommandTopics
from rlt_policy.health import controller_health, source_of
from rlt_policy.observed import Observed
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


class ChunkControllerNode(GuardedNode):
    """Feeds the `ControlLoop` and sends what it decides."""

    def __init__(self) -> None:
        """Check limits and contract, connect to the robot, and start the clock if it is ours."""
        super().__init__("chunk_controller")
        self._graph = declare(self, GraphSettings)
        self._settings = declare(self, OutputSettings)
        limits, chunks = declare(self, GuardSettings), declare(self, ChunkSettings)
        self._contract = contract = self._graph.contract()
        self._hash = contract.hash()
        lockstep = self._graph.lockstep
        self._control = ControlLoop(contract, limits, chunks, real_time=not lockstep)
        self._lock = threading.Lock()  # real time: the clock's thread and the callbacks
        self._state: RobotState | None = None
        self._episode: EpisodeState | None = None
        self._started = 0
        # The next tick to answer. In real time it begins where the monotonic clock is: a
        # controller that is started again never counts a tick that the one before has counted.
        self._tick = self._first_tick = (
            0 if lockstep else int(time.monotonic() * contract.rate_hz)
        )
        self._answered_at = time.monotonic()
        self._observed = Observed()
        self._unseen_fault = ""
        self._notices, self._rate = Notices(self.get_logger()), Rate()
        self._wall = WallClock()
        self._steps = self.create_publisher(ControlStepMessage, "control_step", qos.LOG)
        self._output = load_output(self._settings.output)(
            self, contract, limits, lockstep, self._on_position
        )
        refuse_unknown(self)  # the output has parameters of its own
        self._commands = CommandTopics(self, self._output.commands)
        self._connect(lockstep)

    def _connect(self, lockstep: bool) -> None:
        """Listen to the other nodes, and start the clock if it is ours."""
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
        self.create_subscription(EpisodeMessage, "episode_heartbeat", self._on_word, qos.COMMAND)
        self.create_timer(0.5, self._check)
        self._counter = threading.Thread(target=self._count, name="control", daemon=True)
        self._counter.start()

    def close(self) -> None:
        """Stop the clock: the robot keeps the last set-point that was sent."""
        self._closing.set()
        if self._counter is not None:
            self._counter.join(CLOSE_SECONDS)  # no tick may publish into a destroyed node

    # ---- What comes in ------------------------------------------------------------------------

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
            self._contract.require(message.contract_hash, "the policy")  # nothing else would come
        chunk = chunk_from_msg(message)
        with self._lock:
            rejection = self._control.offer_chunk(chunk)
        if rejection is not None:
            self._tell("action_chunk", rejection, "action_chunk from policy")
        self._answer_if_complete()

    def _on_human(self, message: HumanCommand) -> None:
        received = float(self._tick) if self._graph.lockstep else time.monotonic()
        human = human_from_msg(message, received)
        with self._lock:
            rejection = self._control.offer_human(human)
        if rejection is not None:
            self._tell("human_command", rejection, "human_command from operator")

    def _on_word(self, message: EpisodeMessage) -> None:
        """Note that our leader lives: what it says has come as `episode_state`."""
        with self._lock:
            if self._episode is not None and message.run == self._episode.run:
                self._control.hear_leader(time.monotonic())

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
        """Answer the simulator's tick once nothing is missing for it."""
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
        if news := self._wall.news(time.time(), time.monotonic()):
            self.get_logger().warning(news)

    def _tick_once(self, now: float) -> None:
        """Drive a running episode, slow down after it, and send nothing while others reset."""
        self._control.pace.beat(now)
        self._control.conflict = self._commands.conflict()
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
        """Start an episode if it is ours and the robot is fit for it."""
        unfit = self._control.unfit(self._state, now)
        if episode.start_tick < self._first_tick:
            unfit = Rejection(
                "restart",
                f"episode {episode.episode} was running when this controller started, which takes "
                "no part in it: abort it; the next episode is driven again",
            )
        if unfit is None:
            self._start(episode, self._state)
        elif unfit.code != "leader" or self._tick > episode.start_tick + self._contract.rate_hz:
            self._tell_trouble(unfit)  # a leader's first sign of life comes after its first word

    # ---- What goes out ------------------------------------------------------------------------

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
        if self._control.trouble is not None:
            self._tell_trouble(self._control.trouble)

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

    def _tell_trouble(self, trouble: Rejection) -> None:
        """Say why the robot holds; the observer says why a policy has nothing to answer."""
        source, now = source_of(trouble.code, self._output.state.heard), time.monotonic()
        if trouble.code == "silent" and self._observed.unanswerable(now):
            return
        self._tell(source, trouble, f"holding: {source}")

    def _tell(self, source: str, fault: Rejection, what: str) -> None:
        self._notices.tell(
            source, fault.code, f"{what}: {fault.message}", time.monotonic(),
            consequence=fault.code == "trip",  # each of the chunks behind it was told
        )

    def _health(self) -> Health:
        with self._lock:
            now, control = time.monotonic(), self._control.health()
            heard = min(self._output.state.heard.values())
            return controller_health(control, self._rate.summary("control_step", now), now - heard)
