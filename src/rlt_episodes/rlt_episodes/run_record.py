"""The files that a run leaves for its report: run.json and episodes.jsonl, never half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rlt_core.contract import Contract
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import EpisodePlan
from rlt_core.files import replace_file
from rlt_core.log.run_files import EPISODES_FILE, RUN_FILE, damaged, read_facts, require_beginning
from rlt_core.records import INTERRUPTED, Outcome

AGREED = ("run", "task", "seed", "contract_hash")  # what a resumed run cannot change
AGREED_SETTINGS = {
    "episodes": ("job", "warmup_episodes"),
    "schedule": (
        "base_eval_episodes", "time_limit_ticks", "time_limit", "full_task", "approach_limit_ticks"
    ),
}
"""Nor these settings: they number the episodes that have ended, or define what their results mean.
The number of episodes still to come may change."""
TO_COME = ("episodes", "eval_episodes")
VERSIONS = {"rlt": "rlt_core", "rclpy": "rclpy", "torch": "torch", "mujoco": "mujoco"}


class RunRecord:
    """Writes the two files of one output folder; each is replaced completely.

    What a full disk rejects is kept and written once there is room: see `fault`.

    Attributes:
        lines: The ended episodes of an earlier process, as given to `write_episodes`.
        fault: What is needed to write the files, empty if they are written.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        say: Callable[[str], None],
        resume: bool = False,
    ) -> None:
        """Make the folder and write what is known at the start, or resume what it holds.

        Args:
            folder: Output folder; it must hold no run yet, or, to resume, a run with these facts.
            facts: First content of run.json.
            say: Called once with each fault, and with what a resumed run changes.
            resume: Whether to resume.

        Raises:
            FileExistsError: If the folder holds a run and `resume` is false.
            FileNotFoundError: If it holds none and `resume` is true.
            ValueError: If it holds another run or one of another schedule, or its files are
                damaged.
            OSError: If it cannot be written.
        """
        self._folder = folder
        self._facts = dict(facts)
        self._say = say
        self._unwritten: dict[str, str] = {}
        self.lines: list[dict[str, Any]] = []
        self.fault = ""
        require_beginning(folder, resume)
        if resume:
            self._read()
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in ((RUN_FILE, self._run_text()), (EPISODES_FILE, "")):
                replace_file(folder / name, text.encode())
        except OSError as error:
            raise OSError(
                f"output folder {folder} cannot be written ({error.strerror}): choose another "
                "with output:="
            ) from error

    @property
    def begun(self) -> int:
        """Number of the newest episode that has begun, 0 before the first."""
        return int(self._facts.get("begun", 0))

    def _read(self) -> None:
        """Take over the facts of an earlier process, and its episodes."""
        path, found = self._folder / RUN_FILE, read_facts(self._folder)
        try:
            lines = (self._folder / EPISODES_FILE).read_text(encoding="utf-8").splitlines()
            self.lines = [dict(json.loads(line)) for line in lines]
        except (TypeError, ValueError) as error:
            raise damaged(self._folder, error) from error
        self._require(path, {name: found.get(name) for name in AGREED}, self._facts, AGREED)
        for table, names in AGREED_SETTINGS.items():
            self._require(path, _table(found, table), _table(self._facts, table), names)
        before, now = _table(found, "schedule"), _table(self._facts, "schedule")
        changed = [name for name in TO_COME if name in before and before[name] != now[name]]
        for name in changed:
            self._say(f"the resumed run has {name} {now[name]}; it began with {before[name]}")
            before[name] = now[name]
        self._facts = found

    def _require(
        self, path: Path, found: Mapping[str, Any], given: Mapping[str, Any], names: Iterable[str]
    ) -> None:
        """Check that a run is resumed with what it began with, as far as that was recorded."""
        for name in names:
            if name in found and found[name] != given[name]:
                raise ValueError(
                    f"{path} has {name} {found[name]!r}, expected {given[name]!r}: resume with "
                    f"the arguments of the first start; only {' and '.join(TO_COME)} may change"
                )

    def update(self, facts: Mapping[str, Any]) -> None:
        """Add facts to run.json; see `fault`."""
        self._facts |= facts
        self._unwritten[RUN_FILE] = self._run_text()
        self.flush()

    def write_episodes(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write one JSON line per ended episode, corrections included; see `fault`."""
        self._unwritten[EPISODES_FILE] = "".join(json.dumps(line) + "\n" for line in lines)
        self.flush()

    def flush(self) -> None:
        """Write what is not on the disk yet; see `fault`."""
        before, self.fault = self.fault, ""
        for name, text in list(self._unwritten.items()):
            try:
                replace_file(self._folder / name, text.encode())
                del self._unwritten[name]
            except OSError as error:
                self.fault = f"room on the disk for {self._folder / name} ({error})"
        if self.fault and not before:
            self._say(f"no episode begins before there is {self.fault}")
        elif before and not self.fault:
            self._say(f"the record in {self._folder} is written again")

    def withdraw(self) -> None:
        """Remove the files: the run ended before its first episode began.

        Does nothing if an earlier process left episodes, even if none is noted as begun.
        """
        if self.lines:
            return
        for name in (RUN_FILE, EPISODES_FILE):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds other files
            self._folder.rmdir()

    def _run_text(self) -> str:
        return json.dumps(self._facts, indent=1) + "\n"


def earlier_episodes(
    record: RunRecord, schedule: Sequence[EpisodePlan]
) -> tuple[list[EpisodeResult], dict[int, dict[str, Any]]]:
    """The episodes of an earlier process; the one it was killed in is truncated.

    Returns:
        The results in order, and by episode the other values of its line.

    Raises:
        ValueError: If a line is not an episode, or more have begun than the schedule has.
    """
    begun = max(record.begun, len(record.lines))
    if begun > len(schedule):
        raise ValueError(
            f"{begun} episodes of the run have begun, this schedule has {len(schedule)}: resume "
            f"with larger {' or '.join(TO_COME)}"
        )
    results = [EpisodeResult.from_dict(line) for line in record.lines]
    names = {item.name for item in dataclasses.fields(EpisodeResult)}
    extra = {
        line["episode"]: {key: value for key, value in line.items() if key not in names}
        for line in record.lines
    }
    if begun > len(results):
        plan = schedule[len(results)]
        results.append(
            EpisodeResult(
                episode=plan.episode, kind=plan.kind, seed=plan.seed, outcome=Outcome.TRUNCATED,
                steps=0, label_source=INTERRUPTED, interventions=0, critical_steps=0,
                human_ticks=0,
            )
        )
        extra[plan.episode] = dict(extra.get(plan.episode - 1, {}))
    return results, extra


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
    known = received + learner.missing if learner else 0
    return {
        "wall_seconds": round(wall_seconds, 3),
        "robot_seconds": round(robot_seconds, 3),
        "transitions": {
            "committed": committed,
            "published": recorder.published if recorder else 0,
            "received": received,
            # What is in the log can always be fetched; lost is what the learner knows of beyond it.
            "lost": max(known - committed, 0) if recorder else 0,
            "pending": max(committed - received, 0),
            "duplicated": learner.duplicates if learner else 0,
            "human": recorder.human if recorder else 0,
        },
        "learner": {
            "updates": learner.updates if learner else 0,
            "updates_per_second": round(learner.updates_per_second, 1) if learner else 0.0,
        },
    }


def _table(facts: Mapping[str, Any], name: str) -> Any:
    """One of the settings dataclasses among a run's facts, as a dictionary."""
    return facts.get("settings", {}).get(name, {})


def _versions() -> dict[str, str]:
    """Versions of what determines a run, as far as it is installed as Python packages."""
    found = {}
    for name, package in VERSIONS.items():
        for distribution in (package, f"ros-{package}"):
            try:
                found[name] = version(distribution)
            except PackageNotFoundError:
                continue
    return found
