"""Timing tests run one at a time, and report when the machine was late."""

import os
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import steady

ROOT = Path(__file__).resolve().parents[3]
TESTS = Path(steady.__file__).parent
TRIES = {"in_time": 1, "once": 2, "always": 4, "dead": 1}
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
            [sys.executable, "-c", WAIT.format(steady.CLAIM)], cwd=TESTS,
            stdout=subprocess.PIPE, bufsize=0,
        )
        assert other.stdout.readline() == b"comes\n"
        assert select.select([other.stdout], [], [], 0.3)[0] == []
    assert other.communicate(timeout=120)[0] == b"alone\n"


def test_what_a_check_of_time_starts_goes_before_ordinary_work_and_nothing_after_it():
    def nice() -> int:
        return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.nice(0))"]))

    before = nice()
    with steady.preferred():
        if os.getpriority(os.PRIO_PROCESS, 0) == before:
            pytest.skip("this user may not go before others")
        assert nice() == steady.NICE
    assert nice() == before


STALLING = """
import ctypes, os, time

def stall():
    ctypes.PyDLL(None).usleep(300_000)  # holding the interpreter's lock

def test_fails_while_the_machine_is_in_time():
    assert tried("{folder}/in_time") > 1

def test_passes_once_the_machine_is_in_time():
    if tried("{folder}/once") == 1:
        stall()
        assert False, "too late"

def test_fails_on_a_stalled_machine_only():
    tried("{folder}/always")
    stall()
    assert False, "always too late"

def test_ends_its_process():
    tried("{folder}/dead")
    stall()
    os._exit(1)

def tried(path):
    with open(path, "a") as file:
        file.write("x")
    return len(open(path).read())
"""


@pytest.mark.time_critical
def test_what_fails_on_a_stalled_machine_is_run_again_and_nothing_else_is(tmp_path):
    (tmp_path / "test_stalling.py").write_text(STALLING.format(folder=tmp_path), encoding="utf-8")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    plugins = [word for name in ("launch_testing", "launch_ros", "launch_pytest")
               for word in ("-p", f"no:{name}")]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-raR", "-n", "1", *plugins],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
    ).stdout
    if "RERUN test_stalling.py::test_fails_while_the_machine_is_in_time" in told:
        raise steady.MachineStalled("the machine was not in time for the test that needs it to be")
    assert "3 failed, 1 passed, 4 rerun" in told, told
    tries = {path: len((tmp_path / path).read_text()) for path in TRIES}
    assert tries == TRIES
    assert re.search(r"this process had to wait for up to \d{3} ms", told), told
    assert "AssertionError: always too late" in told
