"""A small disk, made by system calls: a minimal machine has no `mount` command."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

MNT_DETACH = 2


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Make a folder that is a disk of its own.

    Args:
        folder: Where; it must not exist.
        mib: The size of the disk [MiB].

    Raises:
        OSError: If this user may not mount one; the folder is made anyway.
    """
    folder.mkdir()
    size = f"size={mib}m".encode()
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), size)
    try:
        yield folder
    finally:
        _call("umount2", os.fsencode(folder), MNT_DETACH)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
