"""Reading a run's output folder: run.json, episodes.jsonl, log.sqlite and frames/."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.statistics import judged
from rlt_core.log.sqlite_log import LOG_FILE
from rlt_core.records import EpisodeKind
from rlt_core.settings import flat
from rlt_report.log_summary import LogSummary, disagreements, read_log

REQUIRED = (
    "run", "task", "seed", "settings", "versions", "contract_hash", "privileged_pretraining",
)
COUNTS = ("committed", "published", "received", "lost", "pending", "duplicated", "human")
LAST = ("wall_seconds", "transitions", "learner")
"""What run.json lacks until the run has ended."""
FRAME_NAME = re.compile(r"(?P<kind>base_eval|eval)_(?P<camera>.+)_(?P<index>\d+)\.png")


class RunFolderError(ValueError):
    """A run's output folder cannot be read; the message names file, fault and remedy."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
        meta: Content of run.json.
        episodes: All ended episodes in order.
        newest: The newest ended episode's line of episodes.jsonl; empty before the first.
        log: What log.sqlite holds; None if there is none, as in an evaluation.
    """

    path: Path
    meta: Mapping[str, Any]
    episodes: tuple[EpisodeResult, ...]
    newest: Mapping[str, Any]
    log: LogSummary | None

    def of_kind(self, *kinds: EpisodeKind) -> list[EpisodeResult]:
        """Return the episodes of these kinds that count: not discarded, not cut from outside."""
        return judged([item for item in self.episodes if item.kind in kinds])

    @property
    def finished(self) -> bool:
        """Whether the run ended by itself and wrote its counts."""
        return all(self.meta.get(key) is not None for key in LAST)

    @property
    def wall_seconds(self) -> float | None:
        """Wall time of the run, or up to its newest ended episode if unfinished; None: unknown."""
        return self.meta.get("wall_seconds") or self.newest.get("wall_seconds")

    @property
    def learner(self) -> dict[str, float | None]:
        """What the learner did; None where an unfinished run has no value."""
        updates = {"updates": self.newest.get("updates"), "updates_per_second": None}
        return updates | dict(self.meta.get("learner") or {})

    @property
    def transitions(self) -> dict[str, int | None]:
        """Counts of transitions: the log's own where there is one, else what the nodes reported.

        None where neither has it; a count that an older version did not keep is zero.
        """
        told = self.meta.get("transitions")
        counts: dict[str, int | None] = dict.fromkeys(COUNTS, None if told is None else 0)
        counts |= told or {}
        if self.log is not None:
            committed, received = self.log.committed, counts["received"]
            counts |= {"committed": committed, "human": self.log.human}
            if received is not None:
                counts["pending"] = max(committed - received, 0)
                counts["lost"] = max(counts["lost"] or 0, received - committed)
        return counts

    @property
    def disagreements(self) -> list[str]:
        """Where the log differs from what the nodes reported, one sentence each."""
        return disagreements(self.log, self.meta.get("transitions") or {}, self.episodes)

    @property
    def dt(self) -> float:
        """Control period in seconds."""
        return 1.0 / float(self._setting("rate_hz"))

    @property
    def full_task(self) -> bool:
        """Whether episodes began with an approach; in versions without that setting none did."""
        return bool(self._setting("full_task", False))

    @property
    def longest_ticks(self) -> int:
        """Longest episode in control ticks, its approach included."""
        approach = int(self._setting("approach_limit_ticks")) if self.full_task else 0
        return approach + int(self._setting("time_limit_ticks"))

    @property
    def model(self) -> str:
        """Folder of the model, where the run found it."""
        return str(self._setting("model"))

    @property
    def planning_delay_ticks(self) -> int:
        """Control ticks from an observation to the first tick of its chunk."""
        return int(self._setting("planning_delay_ticks"))

    def frames(self) -> dict[tuple[EpisodeKind, str], list[Path]]:
        """Return (kind, camera) -> PNG files in order of time; empty if none were recorded."""
        strips: dict[tuple[EpisodeKind, str], list[tuple[int, Path]]] = {}
        for path in self.path.glob("frames/*.png"):
            name = FRAME_NAME.fullmatch(path.name)
            if name:
                strip = strips.setdefault((EpisodeKind[name["kind"].upper()], name["camera"]), [])
                strip.append((int(name["index"]), path))
        return {key: [path for _, path in sorted(strip)] for key, strip in sorted(strips.items())}

    def _setting(self, name: str, default: Any = None) -> Any:
        for key, value in flat(self.meta["settings"]):
            if key.split(".")[-1] == name:
                return value
        if default is not None:
            return default
        raise RunFolderError(
            f"{self.path / 'run.json'} holds no setting '{name}': it was not written by this "
            "version; use the report command of the version that wrote it"
        )


def read_run(path: Path) -> RunFolder:
    """Read one run's output folder.

    Raises:
        RunFolderError: If a file is missing or damaged, or the log is not that of the run.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path} is not a folder: name the output folder of a run")
    meta = _read_meta(path / "run.json")
    episodes, newest = _read_episodes(path / "episodes.jsonl")
    return RunFolder(path, meta, episodes, newest, _read_log(path / LOG_FILE, meta))


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path} is damaged ({error}): run again") from error
    missing = [key for key in REQUIRED if not isinstance(meta, dict) or key not in meta]
    if missing:
        raise RunFolderError(f"{path} lacks {', '.join(missing)}: it is not a run of this version")
    return dict(meta)


def _read_episodes(path: Path) -> tuple[tuple[EpisodeResult, ...], dict[str, Any]]:
    """The results, and all that the last line holds."""
    episodes, values = [], {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            values = dict(json.loads(line))
            episodes.append(EpisodeResult.from_dict(values))
        except (TypeError, ValueError) as error:
            raise RunFolderError(
                f"{path} line {number} is not an episode ({error}): if the run was cut off there, "
                "delete the line"
            ) from error
    return tuple(episodes), values


def _read_log(path: Path, meta: Mapping[str, Any]) -> LogSummary | None:
    """What the log holds, if there is one.

    Raises:
        RunFolderError: If it cannot be read, or is that of another run or contract.
    """
    if not path.exists():
        return None
    try:
        log = read_log(path)
    except (OSError, ValueError) as error:
        raise RunFolderError(str(error)) from error
    for name, found in (("run", log.run), ("contract_hash", log.contract_hash)):
        if found != meta[name]:
            raise RunFolderError(
                f"{path} has {name} {found!r}, run.json beside it has {meta[name]!r}: one of the "
                "two was copied from elsewhere; put the run's own file back"
            )
    return log


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunFolderError(
            f"{path} is missing: {path.parent} is not the output folder of a run, name one that is"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}): allow it (chmod), or copy it again if it is damaged"
        ) from error
