"""The log of transitions: every commit gets the next number of the run."""

from __future__ import annotations

import dataclasses

from rlt_core.records import Transition


class TransitionLog:
    """Commits of one run, numbered gaplessly from 1, in memory."""

    def __init__(self, run: str) -> None:
        """Start an empty log.

        Args:
            run: Identifier of the run.
        """
        self._run = run
        self._commits: list[Transition] = []

    def __len__(self) -> int:
        """Number of commits, which is the highest seq."""
        return len(self._commits)

    def commit(self, transition: Transition) -> Transition:
        """Append a transition and return it with its seq.

        Raises:
            ValueError: If it belongs to another run.
        """
        if transition.run != self._run:
            raise ValueError(
                f"transition of run {transition.run!r} does not belong into the log of run "
                f"{self._run!r}: restart the node that still serves the old run"
            )
        committed = dataclasses.replace(transition, seq=len(self._commits) + 1)
        self._commits.append(committed)
        return committed

    def page(self, first: int, count: int) -> list[Transition]:
        """Return up to `count` commits from seq `first` on, for a reader that missed some.

        Raises:
            ValueError: If `first` is not a seq or `count` is negative.
        """
        if first < 1 or count < 0:
            raise ValueError(f"page of {count} commits from seq {first}: seq counts from 1")
        return self._commits[first - 1 : first - 1 + count]
