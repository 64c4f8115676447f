"""Reading a run's output folder: run.json, episodes.jsonl and frames/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlt_core.episodes import EpisodeResult
from rlt_core.records import EpisodeKind
from rlt_core.statistics import judged

REQUIRED = (
    "run", "task", "seed", "settings", "versions", "contract_hash", "privileged_pretraining",
)
COUNTS = ("committed", "published", "received", "lost", "pending", "duplicated", "human")
UNFINISHED: dict[str, Any] = {
    "wall_seconds": 0.0,
    "transitions": dict.fromkeys(COUNTS, 0),
    "learner": {"updates": 0, "updates_per_second": 0.0},
}
"""What run.json lacks until the run has ended."""
FRAME_NAME = re.compile(r"(?P<kind>base_eval|eval)_(?P<camera>.+)_(?P<index>\d+)\.png")


class RunFolderError(ValueError):
    """A run's output folder cannot be read; the message names file, finding and remedy."""


@dataclass(frozen=True)
class RunFolder:
    """What one run left behind.

    Attributes:
        path: The folder.
        meta: Content of run.json.
        episodes: All ended episodes in order.
    """

    path: Path
    meta: Mapping[str, Any]
    episodes: tuple[EpisodeResult, ...]

    def of_kind(self, *kinds: EpisodeKind) -> list[EpisodeResult]:
        """Return the episodes of these kinds that count: not discarded, not cut from outside."""
        return judged([item for item in self.episodes if item.kind in kinds])

    @property
    def finished(self) -> bool:
        """Whether the run ended by itself and wrote its counts."""
        return all(self.meta.get(key) is not None for key in UNFINISHED)

    def count(self, name: str) -> Any:
        """Return `wall_seconds`, `transitions` or `learner` of run.json; zeros if unfinished.

        A count that an older version did not keep is zero, too.
        """
        value = self.meta.get(name)
        if isinstance(value, Mapping):
            return UNFINISHED[name] | value
        return UNFINISHED[name] if value is None else value

    @property
    def dt(self) -> float:
        """Control period in seconds."""
        return 1.0 / float(self._setting("rate_hz"))

    @property
    def full_task(self) -> bool:
        """Whether episodes began with an approach; no run of versions without that setting did."""
        return bool(self._setting("full_task", False))

    @property
    def longest_ticks(self) -> int:
        """Longest episode in control ticks, its approach included."""
        approach = int(self._setting("approach_limit_ticks")) if self.full_task else 0
        return approach + int(self._setting("time_limit_ticks"))

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
        RunFolderError: If a file is missing, empty or damaged.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path} is no folder: name the output folder of a run")
    return RunFolder(path, _read_meta(path / "run.json"), _read_episodes(path / "episodes.jsonl"))


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings as (dotted name, value)."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path} is damaged ({error}): run again") from error
    missing = [key for key in REQUIRED if not isinstance(meta, dict) or key not in meta]
    if missing:
        raise RunFolderError(f"{path} lacks {', '.join(missing)}: it is no run of this version")
    return dict(meta)


def _read_episodes(path: Path) -> tuple[EpisodeResult, ...]:
    episodes = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            episodes.append(EpisodeResult.from_dict(json.loads(line)))
        except (TypeError, ValueError) as error:
            raise RunFolderError(
                f"{path} line {number} is no episode ({error}): if the run was cut off there, "
                "delete the line"
            ) from error
    if not episodes:
        raise RunFolderError(f"{path} is empty: no episode of this run has ended yet")
    return tuple(episodes)


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
