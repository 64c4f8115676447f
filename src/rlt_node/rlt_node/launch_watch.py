"""Nodes end with the launch that started them, however it ends: after `kill -9`, too."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path

VARIABLE = "RLT_LAUNCH"
"""Environment variable that identifies the launch for its processes."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def passport() -> str:
    """Identifies this process, and no later process with the same pid."""
    return f"{os.getpid()} {_begun(os.getpid())}"


def follow(on_end: Callable[[], None]) -> None:
    """Call `on_end`, in a separate thread, when the launch of this process has ended.

    This also disables the kernel's own signal at that moment, which a launch may have requested.
    Without a launch it does nothing. Must be called in the main thread.
    """
    launch = os.environ.get(VARIABLE)
    if not launch:
        return
    try:
        process = _open(launch)
    except OSError as error:
        print(f"cannot watch the launch, and may outlive it: {error}", file=sys.stderr)
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
        pass  # it has ended in the meantime
    os.close(process)
    return None


def _begun(pid: int) -> str:
    """Start time of a process, in clock ticks since boot."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
