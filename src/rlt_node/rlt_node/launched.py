"""Nodes end with the launch that started them, however it ended: with `kill -9`, too."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path

VARIABLE = "RLT_LAUNCH"
"""Environment variable that names the launch to its processes."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def passport() -> str:
    """What names this process and none that comes after it under the same number."""
    return f"{os.getpid()} {_begun(os.getpid())}"


def follow(on_end: Callable[[], None]) -> None:
    """Have `on_end` called, in a thread of its own, when the launch of this process has ended.

    From then on nothing else is to end the process at that moment: a launch may have had the kernel
    kill it. A process that no launch has started follows nobody. To be called in the main thread.
    """
    launch = os.environ.get(VARIABLE)
    if not launch:
        return
    try:
        process = _open(launch)
    except OSError as error:
        print(f"cannot follow the launch, and may outlive it: {error}", file=sys.stderr)
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)

    def wait() -> None:
        if process is not None:
            select.select([process], [], [])
        on_end()

    threading.Thread(target=wait, name="launch", daemon=True).start()


def _open(passport: str) -> int | None:
    """A file descriptor that becomes readable when the process ends; None if it has ended."""
    pid, _, begun = passport.partition(" ")
    try:
        process = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return None
    try:
        if _begun(int(pid)) == begun:
            return process
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended since
    os.close(process)
    return None


def _begun(pid: int) -> str:
    """When a process began, in clock ticks since the machine did."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
