"""Files that exist completely or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def path_of(text: str) -> Path:
    """A path as people write it: `~` is the home folder, also where no shell has seen it."""
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside another, which it replaces as a whole when the block has ended.

    If the block raises, the old file still stands and nothing is left of the new one.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, or replace it as a whole.

    Raises:
        OSError: If it cannot be written; the old file still stands.
    """
    with replacing(path) as stream:
        stream.write(data)


def sync_folder(folder: Path) -> None:
    """Make the names of new files in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
