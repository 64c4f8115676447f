"""The folders of a run, as whoever starts one must know them before anything is loaded."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
EPISODES_FILE = "episodes.jsonl"
MANIFEST = "manifest.json"
PREVIOUS = "previous.json"


def require_folder(folder: Path) -> None:
    """Check that a folder can be made and written, without making it.

    Raises:
        OSError: If it cannot.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):  # it never has a name
            pass
    except OSError as error:
        raise OSError(
            f"output folder {folder} cannot be made or written ({place}: {error.strerror}): choose "
            "another with output:="
        ) from error


def require_beginning(folder: Path, resume: bool) -> None:
    """Check that a run can begin in a folder, or go on.

    Args:
        folder: Output folder of the run.
        resume: Whether to go on with the run that it holds.

    Raises:
        FileExistsError: If it holds a run and shall not.
        FileNotFoundError: If it shall hold one and does not.
        OSError: If it cannot be written.
        ValueError: If what it holds is damaged.
    """
    require_folder(folder)
    if resume:
        read_facts(folder)
    elif (folder / RUN_FILE).exists():
        raise FileExistsError(
            f"output folder {folder} holds a run already: choose another with output:=, or go "
            "on with that run: resume:=true"
        )


def read_facts(folder: Path) -> dict[str, Any]:
    """Read what is known of the run that a folder holds.

    Returns:
        Content of run.json; its `run` identifies the run, whatever the folder is called by now.

    Raises:
        FileNotFoundError: If it holds none.
        ValueError: If its file is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"output folder {folder} holds no run to resume ({RUN_FILE} is missing): name that "
            "run's folder with output:="
        )
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
        facts["run"] = str(facts["run"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, error) from error
    return facts


def require_checkpoint(folder: Path, *manifests: str) -> None:
    """Check that a folder is that of a checkpoint.

    Args:
        folder: The folder.
        *manifests: Names of which it must hold one: of the newest generation, of the one before.

    Raises:
        FileNotFoundError: If it is not.
    """
    if not any((folder / name).is_file() for name in manifests):
        raise FileNotFoundError(
            f"no checkpoint in {folder}: {manifests[0]} is missing; name the folder `checkpoint` "
            "of a finished run"
        )


def damaged(folder: Path, error: Exception) -> ValueError:
    """The error of a run whose files cannot be read."""
    return ValueError(
        f"{folder} cannot be resumed: {RUN_FILE} or {EPISODES_FILE} is damaged ({error!r}); copy "
        "it again"
    )
