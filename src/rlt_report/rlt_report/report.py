"""The report of a run: report.json for machines, report.html for people.

`ros2 run rlt_learner report --output RUN` reads the run and writes into its folder;
`… --output POOLED --runs RUN RUN RUN` pools several runs into one report.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlt_core.episodes import statistics
from rlt_core.files import path_of, replace_file
from rlt_core.records import Commit, EpisodeKind, Source
from rlt_node import launch_watch
from rlt_report.log_summary import LogSummary
from rlt_report.page import render, training_curve
from rlt_report.run_folder import COUNTS, RunFolder, RunFolderError, read_run

MUST_AGREE = ("task", "contract_hash", "privileged_pretraining", "versions")
"""What runs must have in common to be pooled."""
BOOTSTRAP_SEED = 0  # the same episodes give the same interval


def write_report(output: Path, runs: Sequence[Path]) -> dict[str, Any]:
    """Read runs and write report.json and report.html into the output folder.

    Args:
        output: Folder of the report; made if missing.
        runs: Output folders of runs; several are pooled.

    Returns:
        Content of report.json.

    Raises:
        RunFolderError: If a run cannot be read, runs cannot be pooled, or nothing can be written.
    """
    folders = [read_run(path) for path in runs]
    for folder in folders:
        if not folder.episodes:
            raise RunFolderError(
                f"{folder.path / 'episodes.jsonl'} is empty: no episode of this run has ended yet"
            )
    report = summarise(folders)
    page = render(report, folders)
    try:
        output.mkdir(parents=True, exist_ok=True)
        replace_file(output / "report.json", (json.dumps(report, indent=2) + "\n").encode())
        replace_file(output / "report.html", page.encode())
    except OSError as error:
        raise RunFolderError(f"the report cannot be written to {output}: {error}") from error
    return report


def summarise(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """Return the content of report.json for one run or several pooled ones.

    A side that was not evaluated is null, and then so is the difference. Evaluations in which a
    person drove are `assisted` and count as failures. For several runs `seed` lists their seeds,
    and `curve` is their mean per training episode. Counts of transitions come from the logs where
    these exist; a count that one run lacks is null.

    Raises:
        RunFolderError: If the runs differ in what must agree to pool them.
    """
    _require_agreement(runs)
    first = runs[0].meta
    seeds = [run.meta["seed"] for run in runs]
    return {
        "task": first["task"],
        "full_task": runs[0].full_task,
        "seed": seeds[0] if len(seeds) == 1 else seeds,
        "base": _policy(runs, EpisodeKind.BASE_EVAL),
        "rlt": _policy(runs, EpisodeKind.EVAL),
        "difference": _difference(runs),
        "robot_seconds": sum(item.steps * run.dt for run in runs for item in run.episodes),
        "wall_seconds": _total(run.wall_seconds for run in runs),
        "interventions": _interventions(runs),
        "transitions": {
            name: _total(run.transitions[name] for run in runs) for name in COUNTS
        },
        "log": _log([run.log for run in runs]),
        "disagreements": [
            f"{run.path.name}: {sentence}" for run in runs for sentence in run.disagreements
        ],
        "finished": all(run.finished for run in runs),
        "learner": {
            "updates": _total(run.learner["updates"] for run in runs),
            "updates_per_second": _mean([run.learner["updates_per_second"] for run in runs]),
        },
        "privileged_pretraining": first["privileged_pretraining"],
        "versions": first["versions"],
        "contract_hash": first["contract_hash"],
        "curve": _mean_curve(runs),
    }


def main() -> int:
    """Command line of `ros2 run rlt_learner report`."""
    parser = argparse.ArgumentParser(
        prog="report", description="Write report.json and report.html of one run or several."
    )
    parser.add_argument(
        "--output", type=path_of, required=True,
        help="folder of the report; without --runs, the run",
    )
    parser.add_argument(
        "--runs", type=path_of, nargs="+", help="output folders of the runs to pool into one report"
    )
    arguments = parser.parse_args()
    launch_watch.follow(lambda: os._exit(1))  # no file is ever half written
    try:
        report = write_report(arguments.output, arguments.runs or [arguments.output])
    except RunFolderError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    for name in ("base", "rlt"):
        if report[name] is not None:
            print(_line(name, report[name]))
    if not report["finished"]:
        print("note: the run did not end by itself, or is still running")
    for sentence in report["disagreements"]:
        print(f"note: {sentence}")
    print(f"report: {arguments.output / 'report.html'}")
    return 0


def _require_agreement(runs: Sequence[RunFolder]) -> None:
    for run in runs[1:]:
        for key, value, first in [
            *((key, run.meta[key], runs[0].meta[key]) for key in MUST_AGREE),
            ("full_task", run.full_task, runs[0].full_task),
            ("the time limit", run.longest_ticks, runs[0].longest_ticks),
            ("the control period", run.dt, runs[0].dt),
        ]:
            if value != first:
                raise RunFolderError(
                    f"{run.path} and {runs[0].path} cannot be pooled: {key} is {value!r} in one "
                    f"and {first!r} in the other"
                )


def _policy(runs: Sequence[RunFolder], kind: EpisodeKind) -> dict[str, Any] | None:
    episodes = [item for run in runs for item in run.of_kind(kind)]
    if not episodes:
        return None
    summary = statistics.summarise(
        episodes, runs[0].dt, runs[0].longest_ticks, np.random.default_rng(BOOTSTRAP_SEED)
    )
    figures = dataclasses.asdict(summary)
    del figures["successes"]
    return figures


def _total(counts: Iterable[float | None]) -> float | None:
    """The sum; None if one of them is unknown."""
    known = [*counts]
    return None if None in known else sum(known)  # type: ignore[arg-type]


def _mean(rates: Sequence[float | None]) -> float | None:
    total = _total(rates)
    return None if total is None else total / len(rates)


def _log(logs: Sequence[LogSummary | None]) -> dict[str, Any] | None:
    """What the logs hold together; None if one of them is missing."""
    found = [log for log in logs if log is not None]
    if len(found) < len(logs):
        return None
    commits, kinds, sources = (
        sum((getattr(log, name) for log in found), Counter())
        for name in ("commits", "kinds", "sources")
    )
    return {
        "inserts": commits[Commit.INSERT],
        "revisions": commits[Commit.REVISION],
        "tombstones": commits[Commit.TOMBSTONE],
        "episode_ends": commits[Commit.EPISODE_END],
        "kinds": {kind.name.lower(): kinds[kind] for kind in EpisodeKind if kind.stored},
        "sources": {item.name.lower(): sources[item] for item in Source if item.value},
    }


def _interventions(runs: Sequence[RunFolder]) -> dict[str, int]:
    """Takeovers in all episodes, including those that count nowhere else."""
    episodes = [item for run in runs for item in run.episodes]
    return {
        "takeovers": sum(item.interventions for item in episodes),
        "ticks": sum(item.human_ticks for item in episodes),
        "episodes": sum(item.interventions > 0 for item in episodes),
    }


def _difference(runs: Sequence[RunFolder]) -> dict[str, Any] | None:
    base, rlt = (
        [item for run in runs for item in run.of_kind(kind)]
        for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)
    )
    if not base or not rlt:
        return None
    try:
        found = statistics.compare(base, rlt, np.random.default_rng(BOOTSTRAP_SEED))
    except ValueError as error:
        raise RunFolderError(f"{', '.join(str(run.path) for run in runs)}: {error}") from error
    return {"success_rate": found.success_rate, "ci95": found.ci95}


def _mean_curve(runs: Sequence[RunFolder]) -> list[list[float]]:
    curves = [training_curve(run)[:, :3] for run in runs]
    shared = min(len(curve) for curve in curves)
    mean = np.mean([curve[:shared] for curve in curves], axis=0)
    return [[int(episode), success, steps] for episode, success, steps in mean.tolist()]


def _line(name: str, figures: dict[str, Any]) -> str:
    low, high = figures["success_rate_ci95"]
    steps = figures["median_steps_success"]
    return (
        f"{name:>4}: success {100 * figures['success_rate']:.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f}) in {figures['episodes']} episodes, "
        f"median of successes {'–' if steps is None else format(steps, '.0f')} steps, "
        f"{figures['throughput_per_10min']:.0f} successes per 10 min"
    )


if __name__ == "__main__":
    sys.exit(main())
