"""The commits of one run on their way into replay: each accepted once, folded in the order of seq.

A checksum is carried along over the content of everything that was folded. A checkpoint holds it
together with the seq that it belongs to; when the log is read again, another content shows there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from rlt_core.packing import Packing
from rlt_core.records import Transition


class OtherLog(ValueError):
    """A log holds other commits than those that a checkpoint was learnt from.

    Attributes:
        run: Run of the log.
    """

    def __init__(self, run: str, message: str) -> None:
        """Make the error.

        Args:
            run: Run of the log.
            message: What was found.
        """
        super().__init__(message)
        self.run = run


class Stream:
    """The bookkeeping of one run.

    Attributes:
        run: Identifier of the run.
        duplicates: Commits dropped because they had been accepted before.
        folded: Every commit up to this seq has been handed out to be folded.
        restored: Highest seq that a loaded checkpoint had learnt from, 0 without one.
        awaited: Whether nothing shall be learnt until replay holds what that checkpoint had.
        barred: Why nothing more is accepted: the run's log has proved to be another one; empty
            if it has not.
        closed_episode: Newest episode that has closed.
        closing: Whether an episode has closed whose weights are not out yet.
    """

    def __init__(self, run: str, packing: Packing) -> None:
        """Begin before the first commit.

        Args:
            run: Identifier of the run.
            packing: Knows what a commit holds.
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
        self._accepted = 0
        self._parked: dict[int, Transition] = {}
        self._queue: deque[Transition] = deque()
        self._crc = 0
        self._restored_crc = 0

    @property
    def waiting(self) -> int:
        """Commits that can be folded now."""
        return len(self._queue)

    @property
    def rebuilding(self) -> bool:
        """Whether replay still lacks commits that the loaded checkpoint had learnt from."""
        return self.folded < self.restored

    @property
    def received(self) -> int:
        """Commits accepted, each counted once."""
        return self._accepted + len(self._parked)

    @property
    def missing(self) -> int:
        """Commits known to exist, since later ones were accepted, and not yet received."""
        return max(self._parked, default=self._accepted) - self.received

    def accept(self, transition: Transition) -> bool:
        """Take a commit in, in any order; those after a gap wait for it to close.

        Returns:
            False if it was a duplicate.

        Raises:
            OtherLog: If the run is barred.
        """
        if self.barred:
            raise OtherLog(self.run, self.barred)
        if transition.seq <= self._accepted or transition.seq in self._parked:
            self.duplicates += 1
            return False
        self._parked[transition.seq] = transition
        while (following := self._parked.pop(self._accepted + 1, None)) is not None:
            self._accepted += 1
            self._queue.append(following)
        return True

    def take(self) -> Transition:
        """Hand out the next commit to be folded."""
        transition = self._queue.popleft()
        self.folded = transition.seq
        self._crc = self._packing.checksum(transition, self._crc)
        return transition

    def take_known(self, most: int) -> list[Transition]:
        """Hand out commits that the loaded checkpoint had learnt from, at most so many.

        Raises:
            OtherLog: If they are others; the run is barred then.
        """
        count = min(self.waiting, self.restored - self.folded, most)
        page = [self.take() for _ in range(count)]
        if not self.rebuilding and self._crc != self._restored_crc:
            self._bar(
                f"holds other commits up to seq {self.restored} than those that the checkpoint was "
                "learnt from"
            )
        return page

    def require(self, committed: int) -> None:
        """Check that a log holds what the loaded checkpoint was learnt from.

        Args:
            committed: Highest seq of the log.

        Raises:
            OtherLog: If the log ends before; the run is barred then.
        """
        if committed < self.restored:
            self._bar(
                f"ends at seq {committed}, the checkpoint was taken at seq {self.restored}"
            )

    def _bar(self, finding: str) -> None:
        """Accept nothing more, and forget what waits."""
        self.barred = (
            f"the log of run {self.run!r} {finding}: bring that log back and restart the learner, "
            "or choose another folder for the learner with output:="
        )
        self.awaited, self.folded = False, 0
        self._parked.clear()
        self._queue.clear()
        raise OtherLog(self.run, self.barred)

    def state_dict(self) -> dict[str, Any]:
        """JSON values for a checkpoint; what is being rebuilt has been learnt from all the same."""
        rebuilt = not self.rebuilding
        return {
            "folded_seq": self.folded if rebuilt else self.restored,
            "crc32": self._crc if rebuilt else self._restored_crc,
            "closed_episode": self.closed_episode,
            "closing": self.closing,
        }

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Go on from `state_dict`, in a new stream, once the same commits have come again."""
        self.restored, self._restored_crc = values["folded_seq"], values["crc32"]
        self.closed_episode, self.closing = values["closed_episode"], values["closing"]
        self.awaited = True
