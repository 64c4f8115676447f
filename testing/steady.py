"""What a timing test needs from the machine: no other timing test, and threads that wake in time.

A test is a timing test if a busy machine alone can make it fail: a hold within 100 ms, a tick every
20 ms. Such a test is marked `time_critical`; the conftest of the repository does the rest. Any test
that fails while its own process had to wait for the machine proves nothing: it is run again, and
the summary of the suite reports it. A failure on a machine that was in time counts at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

CLAIM = "\0rlt-test-time-critical"
PRIORITY = 5  # below the controller's
STALL_S = 0.05  # a machine that was this late proves nothing about the product
NICE = -15
MEASURED_S = 0.2
PATIENCE_S = 2.0
NAP_S = 0.005


class MachineStalled(Exception):
    """The test itself did not run in time: it proves nothing and is run again."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only timing test on this machine, of all suites that run there.

    The claim is a bound abstract Unix socket, as for `domains.claimed_domain`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        while not _taken(claim):
            _wait_for_its_end()
        yield


def _taken(claim: socket.socket) -> bool:
    try:
        claim.bind(CLAIM)
    except OSError:
        return False
    claim.listen(100)
    return True


def _wait_for_its_end() -> None:
    """Wait until the holder of the claim closes it, and our connection with it: this wakes us.

    Polling would find the next test of the same suite, and the next.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
        try:
            waiting.connect(CLAIM)
            waiting.recv(1)
        except OSError:  # closed; or claimed by a process that does not listen yet
            time.sleep(0.001)


def urgent() -> None:
    """Request real-time scheduling of this thread, as drivers have, if that is permitted."""
    with contextlib.suppress(OSError):
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(PRIORITY))


@contextlib.contextmanager
def preferred() -> Iterator[None]:
    """Run this thread and what it starts before ordinary work, as on a robot's computer."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


class Lateness:
    """Measures how late a sleeping thread of this process wakes, as long as the process lives.

    It cannot tell the cause: the machine, or this process holding the interpreter's lock.
    """

    def __init__(self) -> None:
        self._worst = 0.0
        self._slept = time.monotonic()
        threading.Thread(target=self._run, name="lateness", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._slept = time.monotonic()
            time.sleep(NAP_S)
            self._worst = self.worst

    @property
    def worst(self) -> float:
        """The longest delay since `begin`, s; a thread that has still not woken counts."""
        return max(self._worst, time.monotonic() - self._slept - NAP_S)

    def begin(self) -> None:
        """Reset the measurement."""
        self._worst = 0.0

    def settle(self) -> None:
        """Wait until the machine is not stalled, up to a limit; then begin."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.begin()
            time.sleep(MEASURED_S)
            if self.worst < STALL_S:
                break
        self.begin()

    def excuse(self, error: Exception) -> None:
        """Blame the machine for an error if this process had to wait for it.

        Raises:
            MachineStalled: If it had to.
        """
        if self.worst > STALL_S and not isinstance(error, MachineStalled):
            raise MachineStalled(
                f"this process had to wait for up to {1e3 * self.worst:.0f} ms (run the test with "
                f"less load), and then: {type(error).__name__}: {error}"
            ) from error
