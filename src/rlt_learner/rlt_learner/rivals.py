"""Other recorders of the run: two must not go on beside each other."""

from __future__ import annotations

from rlt_interfaces.msg import RecorderStatus
from rlt_node.process import Refused


class Rivals:
    """Decides who gives way, from what the recorders tell; all of them decide alike.

    The one that has begun to commit stays. Of those that have not (all were just started, it may be
    with copies of one log) that with most commits in its log stays, and of equal logs that with the
    smallest name. Two that had both begun before they heard of each other both stay: what either
    has published must not be lost.
    """

    def __init__(self) -> None:
        """Know of none."""
        self._known: set[str] = set()

    def hear(self, mine: RecorderStatus, other: RecorderStatus) -> str:
        """Take in what a recorder tells, which may be this one's own word.

        Args:
            mine: What this recorder tells.
            other: What was heard.

        Returns:
            What is wrong, if a rival is heard for the first time; else empty.

        Raises:
            Refused: If this recorder has to give way.
        """
        if other.run != mine.run or other.recorder in ("", mine.recorder):
            return ""
        problem = (
            f"run {mine.run!r} is recorded by {other.recorder} and by {mine.recorder}: end one of "
            "the two, or give this one a namespace or a run of its own"
        )
        if not mine.begun and _rank(other) < _rank(mine):
            raise Refused(problem)
        first = other.recorder not in self._known
        self._known.add(other.recorder)
        return problem if first else ""


def _rank(status: RecorderStatus) -> tuple[bool, int, str]:
    return not status.begun, -status.committed, status.recorder
