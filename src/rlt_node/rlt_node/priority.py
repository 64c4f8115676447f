"""Process priorities, so that the robot's control thread runs when it is due.

All of this is best effort: without the permission everything works, only with more jitter.
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
    """Request real-time scheduling for this thread and, one step lower, for its entire process.

    The other threads need it, too: one that is preempted while it holds Python's interpreter lock
    would delay this thread. For the same reason the interpreter's switch interval is shortened.

    Args:
        priority: Priority under SCHED_FIFO of the other threads, 1 to 98; 0 requests nothing.

    Returns:
        The result, as a sentence for the log.
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
            f"no real-time scheduling ({error}): the control thread has normal priority; to allow "
            f"it, give the user an rtprio limit of {priority + 1} in {LIMITS}"
        )
    return f"the control thread runs under SCHED_FIFO with priority {priority + 1}"


def lower_priority() -> str:
    """Give every other process priority: for work without a deadline.

    Returns:
        The result, as a sentence for the log.
    """
    try:
        os.nice(NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        return f"the priority is unchanged ({error})"
    return f"this process runs with nice {os.nice(0)}, as batch work"


def _schedule(thread: int, priority: int) -> None:
    """SCHED_FIFO for one thread; its child processes do not inherit it."""
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except ProcessLookupError:
        pass  # the thread has ended in the meantime
