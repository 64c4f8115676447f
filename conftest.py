"""What holds for every test of the repository."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from domains import claimed_domain
from steady import Lateness, MachineStalled, alone, preferred

MACHINE = pytest.StashKey[Lateness]()
ATTEMPTS = 4  # at a test that the machine keeps from running in time
TURN_S = 900.0  # a check of time may have to wait for those of other suites


def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker, let Ctrl-C be heeded, and begin to measure the machine."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what the tests start heeds it
    config.addinivalue_line(
        "markers", "time_critical: a busy machine alone can make it fail, so only one runs at once"
    )
    config.stash[MACHINE] = Lateness()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are cores: most tests wait rather than compute."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return min(4, len(os.sched_getaffinity(0)) + 1)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Let a test that ended its process have failed: no machine does that."""
    sched.config.failures_db.set_test_reruns(crashitem, 0)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Run again what fails on a stalled machine; leave a check of time the time for its turn."""
    if not item.config.getoption("usepdb"):
        again = pytest.mark.flaky(reruns=ATTEMPTS - 1, only_rerun=MachineStalled)
        item.add_marker(again)  # of pytest-rerunfailures
    if item.get_closest_marker("time_critical") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(TURN_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Measure how late this process is while it tries the test."""
    item.config.stash[MACHINE].begin()
    with _excused_by_the_machine(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Say if it is the machine that made a test fail."""
    with _excused_by_the_machine(item):
        return (yield)


@contextlib.contextmanager
def _excused_by_the_machine(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not item.config.getoption("usepdb"):
            item.config.stash[MACHINE].excuse(error)
        raise


@pytest.fixture(autouse=True)
def machine(
    request: pytest.FixtureRequest, nobody_of_an_earlier_test_is_left: None
) -> Iterator[None]:
    """Let checks of time run one at a time, before other work, on a machine that does not stall."""
    if request.node.get_closest_marker("time_critical") is None:
        request.config.stash[MACHINE].begin()
        yield
        return
    with alone(), preferred():
        request.config.stash[MACHINE].settle()
        yield


@pytest.fixture(scope="session", autouse=True)
def ros_log_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what nodes and launches log out of the user's own log folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        yield


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain of the test's own, in which its nodes and processes are if told nothing else."""
    with claimed_domain() as claimed:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(claimed))
        # What tells its processes from those of another suite, which may be in any domain.
        monkeypatch.setenv("RLT_TEST", f"domain {claimed} of process {os.getpid()}")
        yield claimed


@pytest.fixture(autouse=True)
def nobody_of_an_earlier_test_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin each test without DDS participants of others.

    A context that is shut down lives on in rclpy until nothing refers to it. Who begins the next
    test would have to find its way among all that are left, and those would talk to it.
    """
    if _participants():
        gc.collect()
    yield
    if hasattr(request.node, "callspec"):
        for value in request.node.callspec.params.values():
            if isinstance(value, BaseException):  # it lives as long as the module, with its frames
                value.with_traceback(None)


def _participants() -> int:
    """How many DDS participants live in this process: each has one thread for its events."""
    return sum(_name(thread).startswith("dds.ev") for thread in Path("/proc/self/task").iterdir())


def _name(thread: Path) -> str:
    with contextlib.suppress(OSError):  # it has just ended
        return (thread / "comm").read_text(encoding="utf-8")
    return ""


def pytest_collection_finish() -> None:
    """Leave what the modules hold out of every later collection, which else takes long."""
    gc.collect()
    gc.freeze()
