"""What a check of time needs of the machine: nobody else who checks time, and threads that wake.

A check is one of time if a busy machine alone can make it fail: a hold within 100 ms, a tick every
20 ms. Such a test is marked `time_critical`; the conftest of the repository does the rest.
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
STALL_S = 0.05  # a machine that was this late says nothing about the product
ATTEMPTS = 4  # at having the machine's attention
MEASURED_S = 0.2
NAP_S = 0.004


class MachineStalled(Exception):
    """The check itself did not run in time: it proves nothing and is to be run again."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only check of time on this machine, of all suites that run there.

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
    """Wait until whoever has the claim closes it, and with it our connection: woken at once.

    Who only looked now and then would meet the next check of the same suite, and the next.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
        try:
            waiting.connect(CLAIM)
            waiting.recv(1)
        except OSError:  # closed; or claimed by a process that does not listen yet
            time.sleep(0.001)


def urgent() -> None:
    """Ask for real-time scheduling of this thread, as drivers have; without the right to it, no."""
    with contextlib.suppress(OSError):
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(PRIORITY))


class Lateness:
    """Measures, until it is closed, how late a sleeping urgent thread of this process wakes.

    Attributes:
        worst: The longest delay so far, s.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        urgent()
        slept = time.monotonic()
        while not self._closing.wait(NAP_S):
            now = time.monotonic()
            self.worst = max(self.worst, now - slept - NAP_S)
            slept = now

    def close(self) -> float:
        """End the measurement; return `worst`."""
        self._closing.set()
        self._thread.join()
        return self.worst


class Machine:
    """The machine of a check of time, measured before and during it.

    While it is stalled, the measurement before is made again, a few times.

    Attributes:
        before: The worst lateness of the last measurement before the check, s.
        during: The measurement during the check.
    """

    def __init__(self) -> None:
        for _ in range(ATTEMPTS):
            measured = Lateness()
            time.sleep(MEASURED_S)
            self.before = measured.close()
            if self.before < STALL_S:
                break
        self.during = Lateness()

    def __str__(self) -> str:
        stalled = max(self.before, self.during.worst) > STALL_S
        return (
            f"a sleeping thread of high priority woke up to {1e3 * self.before:.0f} ms late before "
            f"the test and {1e3 * self.during.worst:.0f} ms late during it"
            + (": run it with less beside it" if stalled else "")
        )


@contextlib.contextmanager
def steady() -> Iterator[Machine]:
    """Be the only check of time that runs, on a machine that is measured."""
    with alone():
        machine = Machine()
        try:
            yield machine
        finally:
            machine.during.close()
