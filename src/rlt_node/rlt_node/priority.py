"""What the operating system is asked for, so that the robot's control thread runs when it is due.

All of it is best effort: without the right to it, everything works as before, only less evenly.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

SWITCH_SECONDS = 0.0005
NICE = 10
LIMITS = "/etc/security/limits.conf"


def claim_priority(priority: int) -> str:
    """Ask for real-time scheduling of this thread and, one step below, of its whole process.

    The other threads have to follow: one that is not run while it holds Python's interpreter lock
    would hold up this one. For the same reason the interpreter lets go of its lock sooner.

    Args:
        priority: Priority under SCHED_FIFO of the other threads, 1 to 98; 0 asks for nothing.

    Returns:
        What was got, as a sentence for the log.
    """
    if priority == 0:
        return "real-time scheduling is off (realtime_priority 0)"
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        for task in Path("/proc/self/task").iterdir():
            own = int(task.name) == threading.get_native_id()
            _schedule(int(task.name), priority + own)
    except OSError as error:
        return (
            f"no real-time scheduling ({error}): the control thread shares the CPU like any other; "
            f"to allow it, give the user an rtprio limit of {priority + 1} in {LIMITS}"
        )
    return f"the control thread runs under SCHED_FIFO with priority {priority + 1}"


def lower_priority() -> str:
    """Let every other process go first: for work that nobody waits for.

    Returns:
        What was got, as a sentence for the log.
    """
    try:
        os.nice(NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        return f"the priority stays as it is ({error})"
    return f"this process runs with nice {os.nice(0)}, as batch work"


def _schedule(thread: int, priority: int) -> None:
    """SCHED_FIFO for one thread; its child processes do not inherit it."""
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except ProcessLookupError:
        pass  # a thread that ended meanwhile
