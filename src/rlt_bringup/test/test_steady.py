"""Checks of time run one at a time, and say when it was the machine that was late."""

import ctypes
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
import steady

WAIT = """
import steady
steady.CLAIM = {0!r}
print("comes", flush=True)
with steady.alone():
    print("alone", flush=True)
"""


@pytest.fixture(autouse=True)
def claims_of_this_test_alone(monkeypatch):
    monkeypatch.setattr(steady, "CLAIM", f"\0rlt-test-of-turns-{os.getpid()}")


def test_a_check_of_time_waits_for_that_of_another_process():
    with steady.alone():
        other = subprocess.Popen(
            [sys.executable, "-c", WAIT.format(steady.CLAIM)], cwd=Path(steady.__file__).parent,
            stdout=subprocess.PIPE, bufsize=0,
        )
        assert other.stdout.readline() == b"comes\n"
        assert select.select([other.stdout], [], [], 0.3)[0] == []
    assert other.communicate(timeout=60)[0] == b"alone\n"


def test_a_stall_is_measured_and_said():
    with steady.steady() as machine:
        ctypes.PyDLL(None).usleep(int(2e6 * steady.STALL_S))  # with the lock of the interpreter
    assert machine.during.worst > steady.STALL_S
    assert "run it with less beside it" in str(machine)
