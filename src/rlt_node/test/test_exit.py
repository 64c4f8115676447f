"""The end of a node's process: immediate, without loss of output, data or running threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import rclpy

PATIENCE_S = 90.0
PROGRAM = """
import atexit, ctypes, sys, threading, time
from std_msgs.msg import String
from rlt_node.node import FailFastNode
from rlt_node.process import Finished, Lost, NodeError, run

class Leaver(FailFastNode):
    def __init__(self):
        super().__init__("leaver")
        self.closed = threading.Event()
        atexit.register(lambda: print("told", end=" "))
        self.create_publisher(String, "left", 1)
        threading.Thread(target=self.work).start()
        self.create_timer(0.01, self.look)
    def look(self):
        if sys.argv[1] != "asked":
            raise {"done": Finished(), "refused": NodeError("no"), "lost": Lost("gone"),
                   "broken": RuntimeError("a bug")}[sys.argv[1]]
    def work(self):
        self.closed.wait()
        time.sleep(0.3)
        print("worked", end=" ")
    def close(self):
        self.closed.set()
        ctypes.CDLL(None).printf(b"in C ")
        print("closed", end=" ")

run("__main__:Leaver")
"""


@pytest.fixture
def neighbour(domain):
    """A node that sees the other nodes in the graph."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("neighbour", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def wait_for(condition, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("why", "code"), [("asked", 0), ("done", 0), ("refused", 1), ("broken", 1), ("lost", 3)]
)
def test_nothing_is_lost_at_the_end(neighbour, why, code):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, why], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )
    if why == "asked":
        wait_for(lambda: neighbour.count_publishers("left"))
        process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, errors
    assert sorted(printed.split()) == sorted("in C closed worked told".split())
    # A process that dies without cleanup stays in the graph for 20 s.
    wait_for(lambda: not neighbour.count_publishers("left"), 5.0)


STUCK = """
import time
from std_msgs.msg import String
from rlt_node.node import FailFastNode
from rlt_node.process import run

class Stuck(FailFastNode):
    def __init__(self):
        super().__init__("stuck")
        self.create_publisher(String, "left", 1)
    def close(self):
        print("closed", flush=True)
    def destroy_node(self):
        time.sleep(1000.0)

run("__main__:Stuck")
"""


def test_a_node_that_nothing_lets_go_says_where_it_stands_and_ends(neighbour):
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: neighbour.count_publishers("left"))
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "closed" in printed
    assert "in destroy_node" in errors
