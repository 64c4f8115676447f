"""The commits of the log that have come, and those to request: exactly once, bounded."""

from __future__ import annotations

from rlt_core.log.sequence import Sequence

BACKLOG = 8192
"""Commits that may wait for their updates in memory; later ones are requested when it is time."""


class CommitRequests(Sequence):
    """Tracks the commits of one run, and which of them to request from the recorder."""

    def __init__(self, needed: int = 0, backlog: int = BACKLOG) -> None:
        """Begin before the first commit.

        Args:
            needed: Highest seq that a loaded checkpoint has learnt from: it must exist.
            backlog: How far ahead of the folded commits others are taken.
        """
        super().__init__(needed)
        self._backlog = backlog
        self._suspect = 0

    def take(self, seq: int, folded: int) -> bool:
        """Whether to take a commit that has come; one that was taken before may be taken again.

        Args:
            seq: Its seq.
            folded: Highest seq in the replay buffer.
        """
        self.note_known(seq)
        if seq > folded + self._backlog:
            return False  # a paused learner must not fill the memory
        self.add(seq)
        return True

    def page(self, folded: int, largest: int) -> tuple[int, int]:
        """First seq and number of the missing commits to request now; (0, 0) if there are none.

        Args:
            folded: Highest seq in the replay buffer.
            largest: Most that may be requested at once.
        """
        first, end = self.gap
        last = min(end, folded + self._backlog)
        return (first, min(last - first + 1, largest)) if last >= first else (0, 0)

    def overdue(self, folded: int) -> bool:
        """Whether the same commit is missing as at the last call: it is not just on its way."""
        first, _ = self.page(folded, 1)
        overdue = first > 0 and first == self._suspect
        self._suspect = first
        return overdue
