"""Ctrl-C at any moment: exit code 0, no process left, no half-written file.

A signal in the tenth of a second before a node's `run` is called meets Python itself, which prints
a KeyboardInterrupt; from then on no signal causes a traceback.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rlt_core import checkpoint

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
TRAIN = ("base_eval_episodes:=1", "episodes:=41", "eval_episodes:=1")
RUNNING = re.compile(r'rlt_node/process\.py", line \d+, in [^<]')  # in `run` or what it calls


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def processes_in_domain(domain: int) -> list[str]:
    """Command lines of the processes whose environment names the ROS domain."""
    wanted = f"ROS_DOMAIN_ID={domain}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has just ended, or belongs to somebody else
    return found


def check_files(output: Path) -> None:
    """Every file that the run left is whole."""
    if not output.exists():
        return
    assert not list(output.rglob("*.part"))
    if (output / "run.json").exists():
        assert json.loads((output / "run.json").read_text())["run"] == output.name
        for line in (output / "episodes.jsonl").read_text().splitlines():
            assert json.loads(line)["outcome"] in ("success", "failure")
    if (output / "checkpoint").exists():
        checkpoint.load(output / "checkpoint")


def interrupt(domain: int, output: Path, seconds: float) -> tuple[int, str]:
    """Exit code and output of a training launch that gets Ctrl-C after some seconds."""
    launch = subprocess.Popen(
        ["ros2", "launch", "rlt_bringup", "train.launch.py", *TRAIN, f"output:={output}"],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(launch.pid, signal.SIGINT)  # as a terminal does: to every process at once
    printed, _ = launch.communicate(timeout=60)
    return launch.returncode, printed


@pytest.mark.parametrize("moment", [0.7, 2.5, 6.0, 11.0])
def test_interrupted_launch(domain, tmp_path, moment):
    moment *= random.uniform(0.7, 1.3)  # another moment in every run of the tests
    code, printed = interrupt(domain, tmp_path / "run", moment)
    assert code == 0, f"after {moment:.2f} s:\n{printed}"
    assert not RUNNING.search(printed), f"after {moment:.2f} s:\n{printed}"
    assert processes_in_domain(domain) == []
    check_files(tmp_path / "run")


def minds_signals(process: subprocess.Popen[bytes]) -> bool:
    """Whether SIGINT is blocked, which is the first thing that a node does."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked.split()[1], 16) & 1 << (signal.SIGINT - 1))


@pytest.mark.parametrize("name", ["observer", "recorder", "simulator"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_node_alone(graph, name, by):
    parameters = {} if name == "simulator" else {"model": str(MODEL)}
    process = graph.start(name, **parameters)
    wait_for(lambda: minds_signals(process), f"{name} to mind signals")
    time.sleep(random.uniform(0.0, 2.0))  # another moment in every run of the tests
    process.send_signal(by)
    assert graph.ended(name, 30.0) == 0, graph.log(name)
    assert "Traceback" not in graph.log(name)
