"""How long do the nodes of the main job take from SIGINT to their exit, on a busy machine?

Starts the training launch, lets it run for some episodes, starts the given number of busy
processes, and then ends the launch as Ctrl-C in a terminal does: with a SIGINT for every process at
once. Prints for each node the median and the 99th percentile of the time until it was gone, and
exits with 1 if the latter is above the goal for any of them, if the launch's exit code is not 0, or
if it had to escalate to a stronger signal.

    python benchmarks/shutdown.py
    python benchmarks/shutdown.py --rounds 3 --busy 0
    python benchmarks/shutdown.py --starting      # at moments of the start, while models load
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

GOAL_S = 2.0
EPISODES = 2  # that have ended before the signal
PATIENCE_S = 120.0
LOOK_S = 0.002
SPIN = "while True: pass"
NODES = 7  # of the training launch
STARTING_S = 8.0  # the signal's moments are spread over so much of the start
ARGUMENTS = ("base_eval_episodes:=0", "warmup_episodes:=1", "episodes:=1000", "eval_episodes:=1")


def main() -> int:
    """Run the rounds and print the table; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="launches that are ended")
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside them")
    parser.add_argument("--domain", type=int, default=97, help="ROS domain that nothing else uses")
    parser.add_argument("--starting", action="store_true", help="end launches while they start")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {}
    failed = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            launch = Launch(Path(folder), arguments.domain, number)
            if arguments.starting:
                late = STARTING_S * (number + 0.5) / arguments.rounds
                code, printed = launch.ended_starting(arguments.busy, late, times)
            else:
                code, printed = launch.ended_running(arguments.busy, number, times)
        if code or "failed to terminate" in printed:
            failed += 1
            print(printed)
    print(f"{len(os.sched_getaffinity(0))} cores, {arguments.busy} busy processes beside; "
          f"{arguments.rounds} launches ended, {failed} of them not cleanly")
    print("| node | p50, s | p99, s |\n| --- | --- | --- |")
    worst = 0.0
    for name, values in sorted(times.items()):
        median, high = np.percentile(values, (50, 99))
        worst = max(worst, float(high))
        print(f"| {name} | {median:.2f} | {high:.2f} |")
    return int(worst > GOAL_S or failed > 0)


class Launch:
    """The training launch as a process, in a folder of its own."""

    def __init__(self, folder: Path, domain: int, seed: int) -> None:
        """Start it."""
        self._log, self._episodes = folder / "launch.log", folder / "run" / "episodes.jsonl"
        with open(self._log, "wb") as file:
            self._process = subprocess.Popen(
                ["ros2", "launch", "rlt_bringup", "train.launch.py", *ARGUMENTS, f"seed:={seed}",
                 f"output:={folder / 'run'}"],
                env=os.environ | {"ROS_DOMAIN_ID": str(domain)}, stdout=file, stderr=file,
                start_new_session=True,
            )

    def ended_running(
        self, busy: int, number: int, times: dict[str, list[float]]
    ) -> tuple[int, str]:
        """End it while episodes run, at another moment of an episode for each number.

        Returns:
            The launch's exit code, and what it printed.
        """
        self._wait_for(lambda: self._ended_episodes() >= EPISODES)
        with beside(busy):
            time.sleep(0.5 + 0.37 * number % 1.0)
            return self._end(times)

    def ended_starting(
        self, busy: int, late: float, times: dict[str, list[float]]
    ) -> tuple[int, str]:
        """End it so many seconds after its last process began; results as of `ended_running`."""
        with beside(busy):
            self._wait_for(lambda: len(running(self._process.pid)) == NODES)
            time.sleep(late)
            return self._end(times)

    def _end(self, times: dict[str, list[float]]) -> tuple[int, str]:
        nodes = running(self._process.pid)
        started = time.monotonic()
        os.killpg(self._process.pid, signal.SIGINT)
        while nodes:
            time.sleep(LOOK_S)
            for name, pid in list(nodes.items()):
                if gone(pid):
                    times.setdefault(name, []).append(time.monotonic() - started)
                    del nodes[name]
        return self._process.wait(PATIENCE_S), self._printed()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                sys.exit(f"the launch did not come so far:\n{self._printed()}")
            time.sleep(0.02)

    def _ended_episodes(self) -> int:
        if not self._episodes.exists():
            return 0
        return self._episodes.read_text(encoding="utf-8").count("\n")

    def _printed(self) -> str:
        return self._log.read_text(encoding="utf-8")


@contextlib.contextmanager
def beside(busy: int) -> Iterator[None]:
    """Run so many busy processes."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(busy)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def running(parent: int) -> dict[str, int]:
    """The launch's nodes: name -> process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children}
    return {
        word.decode().removeprefix("__node:="): int(pid)
        for pid, words in commands.items()
        for word in words
        if word.startswith(b"__node:=")
    }


def gone(pid: int) -> bool:
    """Whether a process has ended; its parent may not have asked for its exit code yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


if __name__ == "__main__":
    sys.exit(main())
