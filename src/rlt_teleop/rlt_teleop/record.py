"""The files that a run leaves for its report: run.json and episodes.jsonl, never half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rlt_core.contract import Contract

RUN_FILE = "run.json"
EPISODES_FILE = "episodes.jsonl"
VERSIONS = {"rlt": "rlt_core", "rclpy": "rclpy", "torch": "torch", "mujoco": "mujoco"}


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

    def withdraw(self) -> None:
        """Leave nothing behind: the run ended before its first episode did."""
        for name in (RUN_FILE, EPISODES_FILE):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others have written into it
            self._folder.rmdir()

    def _replace(self, name: str, text: str) -> None:
        temporary = self._folder / (name + ".part")
        temporary.write_text(text)
        os.replace(temporary, self._folder / name)


def first_facts(run: str, contract: Contract, **settings: Any) -> dict[str, Any]:
    """What is known when a run begins.

    Args:
        run: Identifier of the run.
        contract: Its contract.
        **settings: Settings dataclasses by name; `episodes` and `schedule` among them.
    """
    return {
        "run": run,
        "task": settings["episodes"].task,
        "seed": settings["schedule"].seed,
        "settings": {
            **{name: dataclasses.asdict(table) for name, table in settings.items()},
            "contract": {
                "rate_hz": contract.rate_hz,
                "horizon": contract.horizon,
                "chunk": contract.chunk,
                "stride": contract.stride,
                "instruction": contract.instruction,
            },
        },
        "versions": _versions(),
        "contract_hash": contract.hash(),
        "privileged_pretraining": settings["episodes"].privileged_pretraining,
    }


def last_facts(
    wall_seconds: float, robot_seconds: float, recorder: Any | None, learner: Any | None
) -> dict[str, Any]:
    """What is known when a run has ended.

    Args:
        wall_seconds: Since the first episode began.
        robot_seconds: Of all episodes, resets excluded.
        recorder: The last RecorderStatus, None in an evaluation.
        learner: The last LearnerStatus, None in an evaluation.
    """
    committed = recorder.committed if recorder else 0
    received = learner.received if learner else 0
    return {
        "wall_seconds": round(wall_seconds, 3),
        "robot_seconds": round(robot_seconds, 3),
        "transitions": {
            "committed": committed,
            "published": recorder.published if recorder else 0,
            "received": received,
            "lost": committed - received,
            "duplicated": learner.duplicates if learner else 0,
        },
        "learner": {
            "updates": learner.updates if learner else 0,
            "updates_per_second": round(learner.updates_per_second, 1) if learner else 0.0,
        },
    }


def _versions() -> dict[str, str]:
    """Versions of what decides a run, as far as they are installed as Python packages."""
    found = {}
    for name, package in VERSIONS.items():
        for distribution in (package, f"ros-{package}"):
            try:
                found[name] = version(distribution)
            except PackageNotFoundError:
                continue
    return found
