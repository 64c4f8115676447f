"""Ctrl-C at any moment: exit code 0, no process left, no half-written file.

A signal in the tenth of a second before a node's `run` is called reaches Python itself, which
prints a KeyboardInterrupt; from then on no signal causes a traceback.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import launch
import pytest
from launches import Launch, check_files, processes_of_the_test, wait_for

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
OUR_LAUNCH = Path(launch.__file__).is_relative_to(ROOT / "tools")
NODES = 7
XBOX = ROOT / "config" / "gamepads" / "xbox.yaml"
KINDS = {
    "simulator", "observer", "policy", "chunk_controller", "recorder", "learner", "episodes",
    "operator",
}
TRAIN = ("base_eval_episodes:=1", "episodes:=41", "eval_episodes:=1")
END_CPU_S = 0.25
RUNNING = re.compile(r'rlt_node/process\.py", line \d+, in [^<]')  # in `run` or what it calls


def started(training: Launch) -> bool:
    """Whether every node has been started."""
    return training.printed.count("process started with pid") >= NODES


@pytest.fixture
def training(domain: int, tmp_path: Path) -> Iterator[Launch]:
    made = Launch("train.launch.py", domain, tmp_path / "run", *TRAIN)
    yield made
    made.kill()


def check_interrupted(training: Launch, moment: float) -> None:
    os.killpg(training.process.pid, signal.SIGINT)  # as a terminal does: to every process at once
    code, printed = training.ended(60.0), training.printed
    assert code == 0, f"after {moment:.2f} s:\n{printed}"
    assert not RUNNING.search(printed), f"after {moment:.2f} s:\n{printed}"
    assert not processes_of_the_test()
    check_files(training.output)


@pytest.mark.parametrize("moment", [0.5, 4.0, 9.0])
def test_a_launch_interrupted_once_its_nodes_are_started(training, moment):
    wait_for(lambda: started(training), "all nodes to be started")
    moment *= random.uniform(0.7, 1.3)  # another moment in every run of the tests
    time.sleep(moment)
    check_interrupted(training, moment)


@pytest.mark.skipif(not OUR_LAUNCH, reason="the original launch does not handle signals at once")
@pytest.mark.parametrize("moment", [0.2, 0.4])
def test_a_launch_interrupted_as_it_starts(training, moment):
    """After some CPU time: how far it has come by then does not depend on what else runs."""
    moment *= random.uniform(0.7, 1.3)
    wait_for(lambda: computed(training.process.pid) >= moment, "the launch to start")
    check_interrupted(training, moment)


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
    wait_for(lambda: minds_signals(process), f"{name} to block signals")
    time.sleep(random.uniform(0.0, 2.0))  # another moment in every run of the tests
    process.send_signal(by)
    assert graph.ended(name, 30.0) == 0, graph.log(name)
    assert "Traceback" not in graph.log(name)


def test_nodes_that_end_leave_the_graph_at_once(graph, watcher, tmp_path):
    """One that ends silently counts as alive for 20 s, and is still addressed."""
    for name in KINDS:
        parameters = {} if name == "simulator" else {"model": str(MODEL)}
        if name in ("recorder", "learner", "episodes"):
            parameters["output"] = str(tmp_path / "run")
        arguments = ("--params-file", str(XBOX)) if name == "operator" else ()
        graph.start(name, *arguments, **parameters)
    watcher.wait_for(lambda: KINDS <= set(watcher.node.get_node_names()), "all nodes")
    for name in KINDS:
        graph.processes[name].send_signal(signal.SIGINT)
    assert {name: graph.ended(name) for name in KINDS} == dict.fromkeys(KINDS, 0)
    watcher.wait_for(lambda: not KINDS & set(watcher.node.get_node_names()), "their end", 5.0)


@pytest.mark.parametrize("name", ["learner", "policy"])
def test_what_a_node_computes_once_it_is_asked_to_end(graph, watcher, name, tmp_path):
    """Tearing down torch's modules at the end takes 0.4 s alone."""
    parameters = {"output": str(tmp_path / "run")} if name == "learner" else {}
    process = graph.start(name, model=str(MODEL), **parameters)
    topic = {"learner": "/rlt/learner_status", "policy": "/rlt/policy_info"}[name]
    watcher.wait_for(lambda: watcher.node.count_publishers(topic), name)
    wait_for(lambda: asleep(process.pid), f"{name} to have nothing more to do")
    before = computed(process.pid)
    process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, graph.log(name)
    assert usage.ru_utime + usage.ru_stime - before < END_CPU_S


def computed(pid: int) -> float:
    """CPU time of a process so far, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asleep(pid: int) -> bool:
    """Whether a process uses no CPU time for a while."""
    before = computed(pid)
    time.sleep(0.5)
    return computed(pid) - before < 0.03
