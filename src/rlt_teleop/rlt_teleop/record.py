"""The files that a run leaves for its report: run.json and episodes.jsonl, never half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
EPISODES_FILE = "episodes.jsonl"


class RunRecord:
    """Writes the two files of one output folder; each is replaced as a whole."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Make the folder and write what is known at the start.

        Args:
            folder: Output folder; it must hold no run yet.
            facts: First content of run.json.

        Raises:
            FileExistsError: If the folder holds a run.
            OSError: If it cannot be written.
        """
        self._folder = folder
        self._facts = dict(facts)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"output folder {folder} cannot be made ({error.strerror}): choose another with "
                "output:="
            ) from error
        if (folder / RUN_FILE).exists():
            raise FileExistsError(
                f"output folder {folder} holds a run already: choose another with output:="
            )
        try:
            self.update({})
            self.write_episodes([])
        except OSError as error:
            raise OSError(
                f"output folder {folder} cannot be written ({error.strerror}): choose another "
                "with output:="
            ) from error

    def update(self, facts: Mapping[str, Any]) -> None:
        """Add facts to run.json."""
        self._facts |= facts
        self._replace(RUN_FILE, json.dumps(self._facts, indent=1) + "\n")

    def write_episodes(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write one JSON line per ended episode, corrections included."""
        self._replace(EPISODES_FILE, "".join(json.dumps(line) + "\n" for line in lines))

    def _replace(self, name: str, text: str) -> None:
        temporary = self._folder / (name + ".part")
        temporary.write_text(text)
        os.replace(temporary, self._folder / name)
