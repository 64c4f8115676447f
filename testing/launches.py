"""Real launches: started, watched, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rlt_core.log import checkpoint


class Launch:
    """A launch in its own session, like a service; its output goes to a file.

    Attributes:
        process: The launch itself.
        output: Folder of its run.
    """

    def __init__(self, file: str, domain: int, output: Path, *arguments: str) -> None:
        """Start it.

        Args:
            file: The launch file.
            domain: ROS domain.
            output: Folder of the run; its log lies beside it.
            *arguments: Further launch arguments.
        """
        self.output = output
        self._log = output.with_name(f"{output.name}.log")
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                ["ros2", "launch", "rlt_bringup", file, f"output:={output}", *arguments],
                env=os.environ | {"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def ended(self, seconds: float = 120.0) -> int:
        """Exit code of a launch that ends by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the launch did not end; it printed:\n{self.printed}") from None

    def kill(self) -> None:
        """End it, if it has not ended; its nodes end with it."""
        self.process.kill()
        self.process.wait()


def process_of(executable: str) -> int:
    """PID of the test's process of an executable.

    Raises:
        LookupError: If there is none, or more than one.
    """
    found = [
        pid for pid, command in processes_of_the_test().items()
        if any(Path(word).name == executable for word in command.split()[:2])
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} processes of {executable}")
    return found[0]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.005)


def processes_of_the_test() -> dict[int, str]:
    """Command lines by PID of the processes that the test has started, directly or indirectly."""
    wanted = f"RLT_TEST={os.environ['RLT_TEST']}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_text().replace("\0", " ")
                found[int(folder.name)] = command
        except OSError:
            continue  # it has just ended, or belongs to another user
    return found


def check_files(output: Path) -> None:
    """Check that every file of the run is complete."""
    if not output.exists():
        return
    assert not list(output.rglob("*.part"))
    if (output / "run.json").exists():
        assert json.loads((output / "run.json").read_text())["run"] == output.name
        for line in (output / "episodes.jsonl").read_text().splitlines():
            assert json.loads(line)["outcome"] in ("success", "failure")
    if (output / "checkpoint").exists():
        checkpoint.load(output / "checkpoint")
