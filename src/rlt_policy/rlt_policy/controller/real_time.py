"""Real time: this node counts the ticks, at the control rate, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.control.control_clock import WallClock
from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.rejection import Rejection
from rlt_core.records import (
    ActionChunk,
    ControlStep,
    EpisodeState,
    HumanInput,
    Phase,
    RobotState,
    Source,
)
from rlt_node.priority import claim_priority
from rlt_policy.controller.command_topics import CommandTopics

CLOSE_SECONDS = 0.2


class RealTime:
    """Ticks whatever arrives: the thread drives, the node's callbacks bring the inputs.

    Attributes:
        lock: Held while the thread ticks and while an input is taken.
    """

    def __init__(
        self,
        control: ControlLoop,
        contract: Contract,
        commands: CommandTopics,
        execute: Callable[[ControlStep], None],
        record: Callable[[ControlStep], None],
        report: Callable[[Rejection], None],
        logger: Any,
    ) -> None:
        """Make the clock; `start` starts it.

        Args:
            control: Decides each tick.
            contract: The contract of the run.
            commands: Who else commands the robot, and who receives the commands.
            execute: Sends and records a step.
            record: Records a tick at which nothing is sent.
            report: Logs why an episode does not start.
            logger: The node's logger.
        """
        self.lock = threading.Lock()
        self._control, self._contract, self._commands = control, contract, commands
        self._execute, self._record, self._report = execute, record, report
        self._logger = logger
        self._state: RobotState | None = None
        self._episode: EpisodeState | None = None
        self._started = 0
        # The next tick. It starts at the monotonic clock: a restarted controller never repeats a
        # tick of the previous one.
        self._tick = self._first_tick = int(time.monotonic() * contract.rate_hz)
        self._unseen_fault = ""
        self._wall = WallClock()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, priority: int) -> None:
        """Start the clock, with the SCHED_FIFO priority if the system grants it; 0: none."""
        self._thread = threading.Thread(
            target=self._count, args=(priority,), name="control", daemon=True
        )
        self._thread.start()

    def now(self) -> float:
        """When an input is received: monotonic seconds."""
        return time.monotonic()

    def take_position(self, tick: int, position: NDArray[np.float64], fault: str) -> None:
        """Take a measured position of the robot; arguments as of `OnPosition`."""
        with self.lock:
            fault = self._unseen_fault = fault or self._unseen_fault  # until a tick has seen it
            self._state = RobotState(self._tick, position, time.monotonic(), fault)

    def take_chunk(self, chunk: ActionChunk) -> Rejection | None:
        """Take a chunk of the policy; return why it is rejected."""
        with self.lock:
            return self._control.offer_chunk(chunk)

    def take_human(self, human: HumanInput) -> Rejection | None:
        """Take a person's command; return why it is rejected."""
        with self.lock:
            return self._control.offer_human(human)

    def take_episode(self, episode: EpisodeState) -> None:
        """Take a state of the episodes node."""
        with self.lock:
            if self._episode is not None and episode.episode < self._episode.episode:
                return  # the label of an earlier episode was corrected
            self._episode = episode
            if episode.phase is not Phase.RUNNING:
                self._control.stop()
                self._tick = max(self._tick, episode.tick)

    def take_heartbeat(self, run: str) -> None:
        """Note that the episodes node of a run is alive; its state arrives as `episode_state`."""
        with self.lock:
            if self._episode is not None and run == self._episode.run:
                self._control.note_leader(time.monotonic())

    def check(self) -> None:
        """Look at the ROS graph and the wall clock; raise what ended the thread."""
        if self._failure is not None:
            raise self._failure
        self._commands.look()
        if change := self._wall.change(time.time(), time.monotonic()):
            self._logger.warning(change)

    def close(self) -> None:
        """Stop the clock: the robot keeps the last set-point that was sent."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)  # no tick may publish into a destroyed node

    def _count(self, priority: int) -> None:
        """Tick at the control rate; late ticks are not caught up."""
        clock = self._control.clock
        try:
            self._logger.info(claim_priority(priority))
            while not self._closing.wait(max(0.0, clock.due - time.monotonic())):
                with self.lock:
                    self._tick_once(time.monotonic())
        except Exception as error:
            self._failure = error

    def _tick_once(self, now: float) -> None:
        """Drive a running episode, decelerate after it, and send nothing during a reset."""
        self._control.clock.begin_tick(now)
        self._control.blocked_by = self._commands.blocked_by()
        tick, episode = self._tick, self._episode
        self._tick += 1
        if episode is not None and episode.start_tick <= tick:
            if episode.phase is Phase.RUNNING and self._started != episode.episode:
                self._begin(episode, tick, now)
            if self._started == episode.episode and episode.phase in (Phase.RUNNING, Phase.ENDED):
                self._execute(self._control.step(tick, self._state, now))
                self._unseen_fault = ""
                return
        nothing = np.zeros(self._contract.action.size)
        position = nothing if self._state is None else self._state.position
        self._unseen_fault = ""
        self._record(ControlStep(0, tick, nothing.astype(np.float32), position, Source.HOLD))

    def _begin(self, episode: EpisodeState, tick: int, now: float) -> None:
        """Start an episode if it began after this controller started and the robot is ready."""
        reason = self._control.not_ready(self._state, now)
        if episode.start_tick < self._first_tick:
            reason = Rejection(
                "restart",
                f"episode {episode.episode} was running when this controller started, so the "
                "controller does not drive it: abort it; the next episode is driven",
            )
        if reason is None and self._state is not None:
            self._started = episode.episode
            self._control.start(episode, self._state.position)
        elif reason is not None and (
            reason.code != "leader" or tick > episode.start_tick + self._contract.rate_hz
        ):
            self._report(reason)  # the first heartbeat arrives after the first state
