"""The commits of one run for the replay buffer: each accepted once, applied in the order of seq.

A running checksum covers the content of all applied commits. A checkpoint stores it with the seq
that it belongs to; when the log is read again, a different content is detected there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from rlt_core.log.packing import Packing
from rlt_core.log.sequence import Sequence
from rlt_core.records import Transition


class OtherLog(ValueError):
    """The commits of a log differ from those that a checkpoint was trained on.

    Attributes:
        run: Run of the log.
    """

    def __init__(self, run: str, message: str) -> None:
        """Create the error.

        Args:
            run: Run of the log.
            message: What is wrong, and what to do.
        """
        super().__init__(message)
        self.run = run


class Stream:
    """The bookkeeping of one run's commits.

    Attributes:
        run: Identifier of the run.
        duplicates: Commits dropped because they had been accepted before.
        folded: Every commit up to this seq has been returned to be applied.
        restored: Highest seq that a loaded checkpoint was trained on, 0 without one.
        awaited: Whether training waits until the replay buffer holds what that checkpoint had.
        barred: Why no more commits are accepted: the run's log is not the expected one; empty if
            they are accepted.
        closed_episode: Newest episode that has closed.
        closing: Whether an episode has closed whose weights are not published yet.
    """

    def __init__(self, run: str, packing: Packing) -> None:
        """Start before the first commit.

        Args:
            run: Identifier of the run.
            packing: Computes the checksums of commits.
        """
        self.run = run
        self.duplicates = 0
        self.folded = 0
        self.restored = 0
        self.awaited = False
        self.barred = ""
        self.closed_episode = 0
        self.closing = False
        self._packing = packing
        self._sequence = Sequence()
        self._parked: dict[int, Transition] = {}
        self._queue: deque[Transition] = deque()
        self._crc = 0
        self._restored_crc = 0

    @property
    def waiting(self) -> int:
        """Commits that can be applied now."""
        return len(self._queue)

    @property
    def rebuilding(self) -> bool:
        """Whether the replay buffer lacks commits that the loaded checkpoint was trained on."""
        return self.folded < self.restored

    @property
    def received(self) -> int:
        """Commits accepted, each counted once."""
        return self._sequence.received

    @property
    def missing(self) -> int:
        """Commits not yet received that must exist, since later ones were accepted."""
        return self._sequence.missing

    def accept(self, transition: Transition) -> bool:
        """Accept a commit, in any order; those after a gap wait until it is filled.

        Returns:
            False if it was a duplicate.

        Raises:
            OtherLog: If the run is barred.
        """
        if self.barred:
            raise OtherLog(self.run, self.barred)
        first = self._sequence.next_seq
        if not self._sequence.add(transition.seq):
            self.duplicates += 1
            return False
        self._parked[transition.seq] = transition
        for seq in range(first, self._sequence.next_seq):
            self._queue.append(self._parked.pop(seq))
        return True

    def take(self) -> Transition:
        """Return the next commit to be applied."""
        transition = self._queue.popleft()
        self.folded = transition.seq
        self._crc = self._packing.checksum(transition, self._crc)
        return transition

    def take_known(self, most: int) -> list[Transition]:
        """Return at most `most` of the commits that the loaded checkpoint was trained on.

        Raises:
            OtherLog: If the commits differ; the run is barred then.
        """
        count = min(self.waiting, self.restored - self.folded, most)
        page = [self.take() for _ in range(count)]
        if not self.rebuilding and self._crc != self._restored_crc:
            self._bar(
                f"differs up to seq {self.restored} from the commits that the checkpoint was "
                "trained on"
            )
        return page

    def require(self, committed: int) -> None:
        """Check that a log contains all that the loaded checkpoint was trained on.

        Args:
            committed: Highest seq of the log.

        Raises:
            OtherLog: If the log ends earlier; the run is barred then.
        """
        if committed < self.restored:
            self._bar(
                f"ends at seq {committed}, the checkpoint was saved at seq {self.restored}"
            )

    def _bar(self, reason: str) -> None:
        """Accept no more commits, and drop the waiting ones."""
        self.barred = (
            f"the log of run {self.run!r} {reason}: restore that log and restart the learner, or "
            "choose another folder for the learner with output:="
        )
        self.awaited, self.folded = False, 0
        self._sequence.forget_ahead()
        self._parked.clear()
        self._queue.clear()
        raise OtherLog(self.run, self.barred)

    def state_dict(self) -> dict[str, Any]:
        """JSON values for a checkpoint; commits still being rebuilt count as trained on."""
        rebuilt = not self.rebuilding
        return {
            "folded_seq": self.folded if rebuilt else self.restored,
            "crc32": self._crc if rebuilt else self._restored_crc,
            "closed_episode": self.closed_episode,
            "closing": self.closing,
        }

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Continue from `state_dict` in a new stream, once the same commits are received again."""
        self.restored, self._restored_crc = values["folded_seq"], values["crc32"]
        self.closed_episode, self.closing = values["closed_episode"], values["closing"]
        self.awaited = True
