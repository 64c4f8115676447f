"""A process ends with its launch: real processes, with the launch killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rlt_node import launch_watch

PATIENCE_S = 90.0
LAUNCH = """
import os, subprocess, sys
from rlt_node import launch_watch
os.environ[launch_watch.VARIABLE] = launch_watch.passport()
node = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
print(node.pid, flush=True)
node.wait()
"""
NODE = """
import sys, time
from rlt_node import process

class SleeperNode:
    exit_reason = None
    def __init__(self):
        from rclpy.node import Node
        self.node = Node("sleeper")
        print("spins", flush=True)
    handle = property(lambda self: self.node.handle)
    def __getattr__(self, name):
        return getattr(self.node, name)
    def close(self):
        CLOSE
        print("closed", flush=True)
process.run("__main__:SleeperNode")
"""


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.01)


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(tmp_path, close="pass", before=""):
    """A launch and the pid of its node; both print to the file `log`."""
    log = open(tmp_path / "log", "w+")
    launch = subprocess.Popen(
        [sys.executable, "-u", "-c", LAUNCH,
         before + NODE.replace("CLOSE", close)],
        stdout=log, stderr=log, start_new_session=True,
    )
    wait_for(lambda: "spins" in (tmp_path / "log").read_text(), "the node")
    return launch, int((tmp_path / "log").read_text().split()[0])


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_ends_as_on_ctrl_c_when_its_launch_is_gone(tmp_path, by):
    launch, node = start(tmp_path)
    launch.send_signal(by)
    launch.wait()
    wait_for(lambda: not alive(node), "the node's end")
    printed = (tmp_path / "log").read_text()
    assert "the launch has ended, and this node with it" in printed
    assert "closed" in printed and "Traceback" not in printed


def test_the_signal_that_some_launches_leave_behind_is_no_impatience(tmp_path):
    launch, node = start(tmp_path, "time.sleep(1.0)")
    launch.kill()
    launch.wait()
    wait_for(lambda: "the launch has ended" in (tmp_path / "log").read_text(), "the message")
    os.kill(node, signal.SIGTERM)
    wait_for(lambda: not alive(node), "the node's end")
    assert "closed" in (tmp_path / "log").read_text(), "ended in the middle of its work"


def test_a_node_that_cannot_end_is_ended(tmp_path):
    launch, node = start(tmp_path, "time.sleep(1000.0)")
    launch.kill()
    launch.wait()
    ended = time.monotonic()
    wait_for(lambda: not alive(node), "the node's end")
    assert time.monotonic() - ended < 10.0
    assert "closed" not in (tmp_path / "log").read_text()


def test_what_the_kernel_would_do_at_the_launchs_end_is_taken_off(tmp_path):
    to_die = "import ctypes, signal; ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    launch, node = start(tmp_path, "time.sleep(0.5)", before=to_die)
    launch.kill()
    launch.wait()
    wait_for(lambda: not alive(node), "the node's end")
    assert "closed" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("launch", ["999999999 1", "{pid} 1"])
def test_a_launch_that_was_gone_before_or_whose_number_is_anothers_now_has_ended(
    monkeypatch, launch
):
    monkeypatch.setenv(launch_watch.VARIABLE, launch.format(pid=os.getpid()))
    told = threading.Event()
    launch_watch.follow(told.set)
    assert told.wait(PATIENCE_S)


@pytest.mark.parametrize("launch", ["", None])
def test_while_the_launch_lives_or_without_one_nothing_happens(monkeypatch, launch):
    monkeypatch.setenv(launch_watch.VARIABLE, launch_watch.passport() if launch is None else launch)
    told = threading.Event()
    launch_watch.follow(told.set)
    assert not told.wait(0.2)
