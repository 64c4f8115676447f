"""The commits of the log that have come, and those to request: exactly once, bounded."""

from __future__ import annotations

BACKLOG = 8192
"""Commits that may wait for their updates in memory; later ones are requested when it is time."""


class SequenceTracker:
    """Tracks the seqs of one run.

    Attributes:
        next_seq: Every commit before it has been taken.
        known: Highest seq that is known to exist.
    """

    def __init__(self, needed: int = 0, backlog: int = BACKLOG) -> None:
        """Begin before the first commit.

        Args:
            needed: Highest seq that a loaded checkpoint has learnt from: it must exist.
            backlog: How far ahead of the folded commits others are taken.
        """
        self.next_seq = 1
        self.known = needed
        self._backlog = backlog
        self._ahead: set[int] = set()
        self._suspect = 0

    @property
    def missing(self) -> int:
        """Commits that are known to exist and have not been taken."""
        return self.known - (self.next_seq - 1) - len(self._ahead)

    def note_committed(self, committed: int) -> None:
        """Note that the log has reached this seq."""
        self.known = max(self.known, committed)

    def take(self, seq: int, folded: int) -> bool:
        """Whether to take a commit that has come; one that was taken before may be taken again.

        Args:
            seq: Its seq.
            folded: Highest seq in the replay buffer.
        """
        self.note_committed(seq)
        if seq > folded + self._backlog:
            return False  # a paused learner must not fill the memory
        if seq >= self.next_seq:
            self._ahead.add(seq)
            while self.next_seq in self._ahead:
                self._ahead.remove(self.next_seq)
                self.next_seq += 1
        return True

    def page(self, folded: int, largest: int) -> tuple[int, int]:
        """First seq and number of the missing commits to request now; (0, 0) if there are none.

        Args:
            folded: Highest seq in the replay buffer.
            largest: Most that may be requested at once.
        """
        first = self.next_seq
        last = min(self.known, min(self._ahead, default=self.known + 1) - 1, folded + self._backlog)
        return (first, min(last - first + 1, largest)) if last >= first else (0, 0)

    def overdue(self, folded: int) -> bool:
        """Whether the same commit is missing as at the last call: it is not just on its way."""
        first, _ = self.page(folded, 1)
        overdue = first > 0 and first == self._suspect
        self._suspect = first
        return overdue
