"""Priorities are best effort, and the returned sentence reports the result."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(program: str, **options) -> str:
    """Output of a separate process: the priorities must not affect the tests."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True,
        **options,
    ).stdout


CLAIM = """
import os, sys, threading
from rlt_node.priority import claim_priority
waiting = threading.Event()
other = threading.Thread(target=waiting.wait, daemon=True)
other.start()
said = []
control = threading.Thread(target=lambda: said.append((
    claim_priority(10), os.sched_getparam(threading.get_native_id()).sched_priority)))
control.start()
control.join()
print(said[0], os.sched_getparam(other.native_id).sched_priority, sys.getswitchinterval())
waiting.set()
"""


def may_claim() -> bool:
    policy = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(11))
    except OSError:
        return False
    os.sched_setscheduler(0, policy, os.sched_param(0))
    return True


def test_every_thread_follows_the_control_thread():
    if not may_claim():
        pytest.skip("this user may not ask for real-time scheduling")
    assert run(CLAIM).split("priority 11', ")[1].split() == ["11)", "10", "0.0005"]


def test_without_the_right_to_it_it_says_what_to_do():
    refuse = "import os\ndef refuse(*_): raise PermissionError('not permitted')\n"
    printed = run(refuse + "os.sched_setscheduler = refuse\n" + CLAIM)
    assert "no real-time scheduling" in printed and "rtprio limit of 11" in printed


def test_zero_asks_for_nothing():
    program = "import sys; from rlt_node.priority import claim_priority; before = "
    program += "sys.getswitchinterval(); print(claim_priority(0), sys.getswitchinterval() - before)"
    assert run(program) == "real-time scheduling is off (realtime_priority 0) 0.0\n"


def test_work_that_nobody_waits_for_goes_last():
    program = "import os; from rlt_node.priority import lower_priority; print(lower_priority(), "
    program += "os.sched_getscheduler(0) == os.SCHED_BATCH)"
    nice = min(os.nice(0) + 10, 19)  # a process starts with the niceness of its parent
    assert run(program) == f"this process runs with nice {nice}, as batch work True\n"
