"""Files that exist completely or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def path_of(text: str) -> Path:
    """A path as a user writes it: `~` is the home folder, also if no shell has expanded it."""
    return Path(os.path.expanduser(text))


def named_file(kind: str, name: str, folder: Path) -> Path:
    """Find a settings file: one of a known folder by its name, or any other by its path.

    Args:
        kind: What it is, for the error.
        name: A file of the folder without .yaml, or the path of a .yaml file.
        folder: Folder of the known files.

    Raises:
        FileNotFoundError: If the file does not exist; lists the known ones.
    """
    if name.endswith((".yaml", ".yml")):
        path = path_of(name).absolute()
        if not path.is_file():
            raise FileNotFoundError(f"there is no {kind} file {path}")
        return path
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise FileNotFoundError(
            f"there is no {kind} {name!r}: expected one of {known}, or the path of a .yaml file"
        )
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a temporary file that replaces `path` atomically when the block ends.

    If the block raises, the old file is unchanged and the temporary file is removed.

    Raises:
        OSError: If the file cannot be written.
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
    """Write a file, or replace it atomically.

    Raises:
        OSError: If the file cannot be written; the old file is unchanged.
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
