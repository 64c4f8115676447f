"""Other recorders of the run: two must not record at the same time."""

from __future__ import annotations

from rlt_interfaces.msg import RecorderStatus
from rlt_node.process import NodeError


class DuplicateRecorders:
    """Decides which recorder gives way, from their statuses; all of them decide alike.

    The one that has begun to commit stays. Of those that have not (all were just started, perhaps
    with copies of one log) the one with the most commits in its log stays, and of equal logs the
    one with the smallest name. Two that had both begun before they discovered each other both stay:
    what either has published must not be lost.
    """

    def __init__(self) -> None:
        """Start without known recorders."""
        self._known: set[str] = set()

    def note(self, mine: RecorderStatus, other: RecorderStatus) -> str:
        """Process a recorder's status, which may be this one's own.

        Args:
            mine: The status of this recorder.
            other: The status that was received.

        Returns:
            What is wrong, if a rival is seen for the first time; else empty.

        Raises:
            NodeError: If this recorder has to give way.
        """
        if other.run != mine.run or other.recorder in ("", mine.recorder):
            return ""
        fault = (
            f"run {mine.run!r} is recorded by {other.recorder} and by {mine.recorder}: end one of "
            "the two, or give this one its own namespace or run"
        )
        if not mine.begun and _rank(other) < _rank(mine):
            raise NodeError(fault)
        first = other.recorder not in self._known
        self._known.add(other.recorder)
        return fault if first else ""


def _rank(status: RecorderStatus) -> tuple[bool, int, str]:
    return not status.begun, -status.committed, status.recorder
