"""Which numbers of a gapless sequence have come, in whatever order."""

from __future__ import annotations


class Sequence:
    """Counts numbers from 1 on, each once.

    Attributes:
        next_seq: Every number before it has come.
        known: Highest number that is known to exist.
    """

    def __init__(self, known: int = 0) -> None:
        """Begin before the first number.

        Args:
            known: Highest number that is known to exist.
        """
        self.next_seq = 1
        self.known = known
        self._ahead: set[int] = set()

    @property
    def received(self) -> int:
        """How many have come, each counted once."""
        return self.next_seq - 1 + len(self._ahead)

    @property
    def missing(self) -> int:
        """How many are known to exist and have not come."""
        return self.known - self.received

    @property
    def gap(self) -> tuple[int, int]:
        """First and last number of the first gap; the last is before the first without one."""
        return self.next_seq, min(self.known, min(self._ahead, default=self.known + 1) - 1)

    def note_known(self, seq: int) -> None:
        """Note that the sequence has reached a number."""
        self.known = max(self.known, seq)

    def add(self, seq: int) -> bool:
        """Count a number that has come; False if it had come before."""
        if seq < self.next_seq or seq in self._ahead:
            return False
        self.note_known(seq)
        self._ahead.add(seq)
        while self.next_seq in self._ahead:
            self._ahead.remove(self.next_seq)
            self.next_seq += 1
        return True

    def forget_ahead(self) -> None:
        """Forget what has come after the first gap."""
        self._ahead.clear()
        self.known = self.next_seq - 1
