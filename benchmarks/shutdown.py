"""How long do the nodes of the main job take from SIGINT to their exit, on a busy machine?

Starts the training launch, lets it run for some episodes, starts the given number of busy
processes, and then ends the launch as Ctrl-C in a terminal does: with a SIGINT for every process at
once. Prints for each node the median and the 99th percentile of the time until it was gone, and
exits with 1 if the latter is above the goal for any of them, if the launch's exit code is not 0, or
if it had to escalate to a stronger signal.

    python benchmarks/shutdown.py
    python benchmarks/shutdown.py --rounds 3 --busy 0
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GOAL_S = 2.0
EPISODES = 2  # that have ended before the signal
PATIENCE_S = 120.0
LOOK_S = 0.002
SPIN = "while True: pass"
ARGUMENTS = ("base_eval_episodes:=0", "warmup_episodes:=1", "episodes:=1000", "eval_episodes:=1")


def main() -> int:
    """Run the rounds and print the table; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="launches that are ended")
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside them")
    parser.add_argument("--domain", type=int, default=97, help="ROS domain that nothing else uses")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {}
    failed = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            code, printed = ended(Path(folder), arguments.domain, arguments.busy, number, times)
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


def ended(
    folder: Path, domain: int, busy: int, seed: int, times: dict[str, list[float]]
) -> tuple[int, str]:
    """End one launch, and record how long each node took.

    Returns:
        The launch's exit code, and what it printed.
    """
    log = folder / "launch.log"
    with open(log, "wb") as file:
        launch = subprocess.Popen(
            ["ros2", "launch", "rlt_bringup", "train.launch.py", *ARGUMENTS, f"seed:={seed}",
             f"output:={folder / 'run'}"],
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)}, stdout=file, stderr=file,
            start_new_session=True,
        )
    episodes = folder / "run" / "episodes.jsonl"
    deadline = time.monotonic() + PATIENCE_S
    while not episodes.exists() or episodes.read_text(encoding="utf-8").count("\n") < EPISODES:
        if time.monotonic() > deadline or launch.poll() is not None:
            sys.exit(f"the launch did not reach its episodes:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(busy)]
    try:
        time.sleep(0.5 + 0.37 * seed % 1.0)  # at another moment of an episode in every round
        nodes = running(launch.pid)
        started = time.monotonic()
        os.killpg(launch.pid, signal.SIGINT)
        while nodes:
            time.sleep(LOOK_S)
            for name, pid in list(nodes.items()):
                if gone(pid):
                    times.setdefault(name, []).append(time.monotonic() - started)
                    del nodes[name]
        return launch.wait(PATIENCE_S), log.read_text(encoding="utf-8")
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
