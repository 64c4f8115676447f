"""Who counts the ticks of an episode: the simulator in lockstep, the controller in real time."""

from __future__ import annotations

import time

from rlt_core.records import EpisodeState, Phase
from rlt_episodes.reset import RobotReset
from rlt_node.process import NodeError


class Lockstep:
    """The simulator counts: each of its task states is a tick, and waits for an episode state.

    Attributes:
        waits_for_states: Whether every judgement is published, changed or not.
    """

    waits_for_states = True

    def __init__(self, silence_s: float) -> None:
        """Begin.

        Args:
            silence_s: Wall time within which a tick must end, s.
        """
        self._silence_s = silence_s

    def missing(self) -> str:
        """What keeps an episode from opening; empty if nothing does."""
        return ""

    def start_tick(self, reset_to: int) -> int:
        """First tick of an episode after a reset that ended at a tick of the simulator."""
        return reset_to

    def check(self, state: EpisodeState, moved: float, reset: RobotReset) -> None:
        """End the run if the robot does not answer a reset, or stops executing ticks.

        Args:
            state: The episode's state.
            moved: When its last tick ended, monotonic seconds.
            reset: The reset that may be under way.

        Raises:
            NodeError: If the robot does.
        """
        reset.check(self._silence_s)
        if state.phase is Phase.RUNNING and time.monotonic() - moved > self._silence_s:
            raise NodeError(
                f"tick {state.tick} of episode {state.episode} has not ended within "
                f"{self._silence_s:g} s: check chunk_controller and simulator"
            )


class RealTime:
    """The controller counts: each of its control steps is a tick, whatever anybody does.

    Attributes:
        waits_for_states: Whether every judgement is published, changed or not.
    """

    waits_for_states = False

    def __init__(self, chunk: int) -> None:
        """Begin before the first control step.

        Args:
            chunk: Ticks of an executed chunk; episodes start at a multiple.
        """
        self._chunk = chunk
        self._last: int | None = None
        self._next = 0

    def count(self, tick: int) -> bool:
        """Count a control step; return whether a restarted controller sent it, which jumps."""
        restarted = self._last is not None and tick != self._last + 1
        self._last = tick
        self._next = max(self._next, tick + 1)
        return restarted

    def missing(self) -> str:
        """What keeps an episode from opening; empty if nothing does."""
        return "the chunk_controller, which counts the ticks" if self._last is None else ""

    def start_tick(self, reset_to: int) -> int:
        """First tick of an episode: soon, at a chunk boundary that nobody has passed."""
        return (self._next // self._chunk + 2) * self._chunk

    def check(self, state: EpisodeState, moved: float, reset: RobotReset) -> None:
        """Nothing to check: the controller holds where somebody is silent."""
