"""The folders of a run, for checks at the start, before anything is loaded."""

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
    """Check that a folder can be created and written, without creating it.

    Raises:
        OSError: If it cannot.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):  # it has no name in the folder
            pass
    except OSError as error:
        raise OSError(
            f"output folder {folder} cannot be created or written ({place}: {error.strerror}): "
            "choose another with output:="
        ) from error


def require_beginning(folder: Path, resume: bool) -> None:
    """Check that a run can start in a folder, or be resumed there.

    Args:
        folder: Output folder of the run.
        resume: Whether to resume the run in this folder.

    Raises:
        FileExistsError: If a new run would start in a folder that contains one.
        FileNotFoundError: If there is no run to resume.
        OSError: If the folder cannot be written.
        ValueError: If the run to resume is damaged.
    """
    require_folder(folder)
    if resume:
        read_facts(folder)
    elif (folder / RUN_FILE).exists():
        raise FileExistsError(
            f"output folder {folder} already contains a run: choose another with output:=, or "
            "resume that run with resume:=true"
        )


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts of the run in a folder.

    Returns:
        Content of run.json; its `run` identifies the run, even if the folder was renamed.

    Raises:
        FileNotFoundError: If the folder contains no run.
        ValueError: If run.json is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"output folder {folder} contains no run to resume ({RUN_FILE} is missing): name the "
            "run's folder with output:="
        )
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
        facts["run"] = str(facts["run"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, error) from error
    return facts


def require_checkpoint(folder: Path, *manifests: str) -> None:
    """Check that a folder contains a checkpoint.

    Args:
        folder: The folder.
        *manifests: Names of manifests, the newest generation first; one of them must exist.

    Raises:
        FileNotFoundError: If none exists.
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
