"""Lockstep: the simulator counts the ticks, and each is answered when all its inputs are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.rejection import Rejection
from rlt_core.records import (
    ActionChunk,
    ControlStep,
    EpisodeState,
    HumanInput,
    Phase,
    RobotState,
)
from rlt_node.process import NodeError


class Lockstep:
    """Answers the simulator's ticks, from the node's executor alone.

    Attributes:
        lock: For symmetry with `RealTime`: nothing to lock here.
    """

    def __init__(
        self,
        control: ControlLoop,
        contract: Contract,
        silence_s: float,
        execute: Callable[[ControlStep], None],
    ) -> None:
        """Wait for the first state.

        Args:
            control: Decides each tick.
            contract: The contract of the run.
            silence_s: Wall time after which a node that blocks all others ends the run, s.
            execute: Sends and records a step.
        """
        self.lock = nullcontext()
        self._control, self._contract, self._execute = control, contract, execute
        self._silence_s = silence_s
        self._state: RobotState | None = None
        self._episode: EpisodeState | None = None
        self._started = 0
        self._tick = 0  # the next one to answer
        self._answered_at = time.monotonic()

    def start(self, priority: int) -> None:
        """Nothing to start: the simulator counts."""

    def now(self) -> float:
        """When an input is received: the tick."""
        return float(self._tick)

    def take_position(self, tick: int, position: NDArray[np.float64], fault: str) -> None:
        """Take a measured position of the robot; arguments as of `OnPosition`."""
        self._state = RobotState(tick, position, float(tick), fault)
        self._answer_if_complete()

    def take_chunk(self, chunk: ActionChunk) -> Rejection | None:
        """Take a chunk of the policy; return why it is rejected.

        Raises:
            ValueError: If it was made under another contract: no other would arrive.
        """
        self._contract.require(chunk.contract_hash, "the policy")
        rejection = self._control.offer_chunk(chunk)
        self._answer_if_complete()
        return rejection

    def take_human(self, human: HumanInput) -> Rejection | None:
        """Take a person's command; return why it is rejected."""
        return self._control.offer_human(human)

    def take_episode(self, episode: EpisodeState) -> None:
        """Take a state of the episodes node."""
        if self._episode is not None and episode.episode < self._episode.episode:
            return  # the label of an earlier episode was corrected
        self._episode = episode
        if episode.phase is not Phase.RUNNING:
            self._control.stop()
        self._answer_if_complete()

    def check(self) -> None:
        """End the run if a node blocks all others in the middle of an episode.

        Raises:
            NodeError: If one does; names it.
        """
        state, episode = self._state, self._episode
        if time.monotonic() - self._answered_at < self._silence_s:
            return
        if state is None or episode is None or episode.phase is not Phase.RUNNING:
            self._answered_at = time.monotonic()
        elif state.tick == self._tick:
            missing = "policy: no action_chunk" if state.tick <= episode.tick else (
                "episodes: no episode_state"
            )
            raise NodeError(
                f"{missing} for tick {state.tick} within {self._silence_s:g} s; check that "
                "node (a policy that is not active sends nothing)"
            )

    def close(self) -> None:
        """Nothing to stop."""

    def _answer_if_complete(self) -> None:
        """Answer the simulator's tick once all its inputs have arrived."""
        state, episode = self._state, self._episode
        if state is None or episode is None:
            return
        if episode.phase is not Phase.RUNNING or state.tick < episode.start_tick:
            return
        if self._started != episode.episode:
            self._started, self._tick = episode.episode, state.tick
            self._answered_at = time.monotonic()
            self._control.start(episode, state.position)
        if state.tick == self._tick <= episode.tick and self._control.ready(state.tick):
            self._answered_at = time.monotonic()
            self._tick += 1
            self._execute(self._control.step(state.tick, state))
