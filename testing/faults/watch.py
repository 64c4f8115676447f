"""What every bench can do: wait for a condition, and read what the nodes have logged."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 90.0  # far longer than anything here takes, so that a busy machine fails no test
QUIET_S = 2.5  # nodes log a fault again if it was gone for 2 s
SAID_S = 8.0  # drivers may start late: the observer tolerates this for its first 5 s
LOOK_S = 0.004
LOG_LINE = re.compile(r"^\[(\w+)\] \[([\d.]+)\] \[([\w.]+)\]: (.*)$")


class Watch:
    """Waits, and reads the logs of a graph's processes.

    Attributes:
        graph: Starts the real processes; see the package's `conftest.Graph`.
        marked_at: When the fault's time began, monotonic seconds.
    """

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self._marks: dict[str, int] = {}
        self.marked_at = time.monotonic()

    def pause(self) -> None:
        """Let a little time pass."""
        time.sleep(LOOK_S)

    @property
    def stalled(self) -> str:
        """How the machine kept bench or nodes from running in time; empty if it did not."""
        return ""

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            self.pause()

    def quiet(self) -> None:
        """Wait until no node has logged a warning or error for a while: the next is then new."""
        self.wait(
            lambda: time.time() - self._complained_at() > QUIET_S, "an end of warnings and errors"
        )

    def _complained_at(self) -> float:
        """When the last line of level WARN or ERROR was logged, wall time in s."""
        stamps = [
            float(match[2])
            for path in self.graph.folder.glob("*.log")
            for match in map(LOG_LINE.match, path.read_text(errors="replace").splitlines())
            if match and match[1] in ("WARN", "ERROR")
        ]
        return max(stamps, default=0.0)

    def mark(self) -> None:
        """Exclude what was logged up to now from the fault."""
        self._marks = {
            path.name: path.stat().st_size for path in self.graph.folder.glob("*.log")
        }
        self.marked_at = time.monotonic()

    def logged(self, *levels: str) -> list[str]:
        """What all nodes have logged at these levels since `mark`, as "node: text"."""
        lines = []
        for path in sorted(self.graph.folder.glob("*.log")):
            with open(path, "rb") as file:
                file.seek(self._marks.get(path.name, 0))
                for line in file.read().decode(errors="replace").splitlines():
                    match = LOG_LINE.match(line)
                    if match and match[1] in levels:
                        lines.append(f"{match[3].rpartition('.')[2]}: {match[4]}")
        return lines

    def errors(self) -> list[str]:
        """The lines of level ERROR since `mark`."""
        return self.logged("ERROR", "FATAL")

    def said_once(self, *words: str) -> str:
        """The one ERROR line of the fault; it must contain these words."""
        self.wait(self.errors, "an ERROR line", SAID_S)
        lines = self.errors()
        assert len(lines) == 1, f"expected one ERROR line, got {len(lines)}: {lines}"
        missing = [word for word in words if word not in lines[0]]
        assert not missing, f"{missing} not named in {lines[0]!r}"
        return lines[0]
