"""Which observations are answered, when, and what bad input means: in lockstep and in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rlt_core.contract import Contract
from rlt_core.records import ActionChunk, EpisodeState, Phase
from rlt_node.fault_log import Fault, FaultLog
from rlt_node.process import NodeError
from rlt_policy.backlog import outdated


class Lockstep:
    """All nodes wait for each answer: every observation is answered, at once and in order.

    Attributes:
        fault: What is wrong with the input; always empty, since bad input ends the run.
    """

    fault = ""
    one_by_one = False

    def __init__(self, silence_s: float) -> None:
        """Begin.

        Args:
            silence_s: Wall time after which a missing `episode_state` ends the run, s.
        """
        self._silence_s = silence_s

    def obsolete(self, ticks: Sequence[int]) -> int:
        """How many of the waiting observations, the oldest first, need no answer."""
        return 0

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back at once."""
        callback()

    def known(self, tick: int, episode: EpisodeState) -> bool:
        """Whether it is known if the episode runs at a tick."""
        return tick <= episode.tick

    def over(self, chunk: ActionChunk, started: float, newest_tick: int) -> bool:
        """Whether a chunk's last tick has passed before it was ready."""
        return False

    def reject(self, code: str, message: str) -> None:
        """End the run: all other nodes would wait for ever.

        Raises:
            NodeError: Always.
        """
        raise NodeError(message)

    def accept(self) -> None:
        """Note that an observation was good."""

    def check(self, waiting: Sequence[int], waited: float, episode: EpisodeState | None) -> None:
        """End the run if the episode_state of a tick is missing.

        Args:
            waiting: Ticks of the waiting observations.
            waited: Seconds since the last one arrived.
            episode: The newest state of the episode.

        Raises:
            NodeError: If it is.
        """
        running = episode is not None and episode.phase is Phase.RUNNING
        if waiting and running and waited > self._silence_s:
            raise NodeError(
                f"episodes published no episode_state for tick {waiting[0]} within "
                f"{self._silence_s:g} s: check that node"
            )


class RealTime:
    """Nothing waits: the newest chunk counts, and bad input is logged once and counted.

    Attributes:
        fault: What is wrong with the input, empty if nothing is.
    """

    one_by_one = True  # new arrivals may make the next one obsolete

    def __init__(
        self,
        contract: Contract,
        fault_log: FaultLog,
        logger: Any,
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        """Begin.

        Args:
            contract: The contract of the run.
            fault_log: Counts the faults of the input, and logs each once.
            logger: The node's logger.
            soon: Calls back once everything that has arrived was read.
        """
        self.fault = ""
        self.soon = soon
        self._contract, self._fault_log, self._logger = contract, fault_log, logger

    def obsolete(self, ticks: Sequence[int]) -> int:
        """How many of the waiting observations a newer chunk boundary made obsolete."""
        return outdated(ticks, self._contract.chunk, self._contract.planning_delay_ticks)

    def known(self, tick: int, episode: EpisodeState) -> bool:
        """Whether it is known if the episode runs at a tick."""
        return tick <= episode.tick or episode.phase is Phase.RUNNING

    def over(self, chunk: ActionChunk, started: float, newest_tick: int) -> bool:
        """Whether a chunk's last tick has passed, by the newest observation or by the clock.

        Args:
            chunk: The chunk.
            started: When its observation began to be answered, by `time.perf_counter`, s.
            newest_tick: Tick of the newest observation.
        """
        ticks = chunk.start_tick + self._contract.chunk - chunk.obs_tick
        late = time.perf_counter() - started > ticks * self._contract.dt
        return late or newest_tick >= chunk.obs_tick + ticks

    def reject(self, code: str, message: str) -> None:
        """Count an observation that cannot be used; log it once."""
        self.fault = message
        self._fault_log.report(Fault(code, "observation", message), time.monotonic())

    def accept(self) -> None:
        """Note that an observation was good; log it if others were not."""
        self.fault = ""
        if self._fault_log.recovered(time.monotonic()):
            self._logger.info("observations and results are usable again")

    def check(self, waiting: Sequence[int], waited: float, episode: EpisodeState | None) -> None:
        """Nothing to check: in real time the controller holds."""
