"""Holds episode states back after a start, until the records of their ticks can have come."""

from __future__ import annotations

from rlt_core.records import EpisodeState


class StartupBuffer:
    """Lets states pass in order; while it is closed they wait.

    A recorder that is started in the middle of a run receives the history of every topic
    separately: an episode's end must not be processed before the steps that led to it, nor anything
    before another recorder of the same run can be discovered.
    """

    def __init__(self) -> None:
        """Start open."""
        self._until = 0.0
        self._states: list[EpisodeState] = []

    def close(self, until: float) -> None:
        """Let no state pass before this monotonic time, s."""
        self._until = until

    def pass_through(self, state: EpisodeState, now: float) -> list[EpisodeState]:
        """Add a state; return those that may be processed now."""
        self._states.append(state)
        return self.due(now)

    def due(self, now: float) -> list[EpisodeState]:
        """Return the states that may be processed now."""
        if now < self._until:
            return []
        states, self._states = self._states, []
        return states
