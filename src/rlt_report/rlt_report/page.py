"""report.html: one page that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from rlt_core.episodes.statistics import assisted
from rlt_core.records import EpisodeKind, Outcome
from rlt_report import figures
from rlt_report.run_folder import RunFolder, flat

ROLLING_WINDOW = 25
TRAINING = (EpisodeKind.WARMUP, EpisodeKind.TRAIN)
POLICY_NAMES = {EpisodeKind.BASE_EVAL: "base", EpisodeKind.EVAL: "RLT"}

PRIVILEGED = {
    True: (
        "Privileged pretraining: yes. While the base policy was pretrained, its image encoder also "
        "learned to predict the simulator's true offset between plug and socket, a stand-in for "
        "the pre-training that a real vision-language model brings. Reinforcement learning never "
        "saw those labels."
    ),
    False: (
        "Privileged pretraining: no. The base policy learned from demonstrations alone, without "
        "labels that only a simulator knows."
    ),
}

Cell = tuple[str, str]
"""A value and its interval, both as text."""
Row = tuple[str, str, str | None, Callable[[Any], str]]
"""Label, key of the value, key of its interval, and how to show them."""


def render(report: dict[str, Any], runs: Sequence[RunFolder]) -> str:
    """Return the page.

    Args:
        report: Content of report.json.
        runs: The runs behind it.

    Returns:
        HTML text with all figures and frames inside.
    """
    environment = Environment(
        loader=PackageLoader("rlt_report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first = runs[0]
    return environment.get_template("report.html.jinja").render(
        report=report,
        seeds=[run.meta["seed"] for run in runs],
        notes=_notes(runs),
        training_episodes=max(len(run.of_kind(*TRAINING)) for run in runs),
        warmup_episodes=len(first.of_kind(EpisodeKind.WARMUP)),
        rows=_rows(report),
        pairs=len(_seeds(runs, EpisodeKind.BASE_EVAL) & _seeds(runs, EpisodeKind.EVAL)),
        dt=first.dt,
        time_limit=first.longest_ticks,
        takeovers=report["interventions"]["takeovers"],
        curve=_learning_curve(report, runs),
        histogram=_length_histogram(runs),
        strips=_strips(first),
        privileged=PRIVILEGED[bool(report["privileged_pretraining"])],
        facts=_facts(report),
        settings=list(flat(first.meta["settings"])),
        percent=_percent,
        number=_number,
        signed_points=_signed_points,
    )


def training_curve(run: RunFolder) -> NDArray[np.float64]:
    """Return (episodes, 4): training episode from 1, success 0 or 1, control ticks, takeovers."""
    rows = [
        (number, item.outcome is Outcome.SUCCESS, item.steps, item.interventions)
        for number, item in enumerate(run.of_kind(*TRAINING), start=1)
    ]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 4)


def _notes(runs: Sequence[RunFolder]) -> list[str]:
    notes = [
        f"The run in {run.path.name} did not end by itself, or is still running: times and "
        "updates are those of its newest ended episode, and the final counts of its nodes are "
        "missing."
        for run in runs
        if not run.finished
    ]
    notes += [
        f"Log and nodes of the run in {run.path.name} disagree; the log is used: {sentence}."
        for run in runs
        for sentence in run.disagreements
    ]
    uncounted = sum(len(run.episodes) - len(run.of_kind(*EpisodeKind)) for run in runs)
    if uncounted:
        notes.append(
            f"{uncounted} episodes were aborted or discarded, or held to their end by a fault or "
            "by the motion limits: they are not counted."
        )
    return notes


def _seeds(runs: Sequence[RunFolder], kind: EpisodeKind) -> set[int]:
    return {item.seed for run in runs for item in run.of_kind(kind)}


def _rows(report: dict[str, Any]) -> list[tuple[str, list[Cell]]]:
    """Rows of the table: label, and one cell each for base and RLT."""
    critical: Row = (
        "median steps of their critical phases", "median_critical_steps", None, _number
    )
    helped: Row = (
        "of them with a person's takeover, counted as failures", "assisted", None, _number
    )
    any_helped = any(report[name] and report[name]["assisted"] for name in ("base", "rlt"))
    kinds: list[Row] = [
        ("episodes", "episodes", None, _number),
        *([helped] if any_helped else []),
        ("success rate", "success_rate", "success_rate_ci95", _percent_fine),
        ("median steps, failures as the time limit", "median_steps", None, _number),
        ("median steps of successes", "median_steps_success", None, _number),
        *([critical] if report["full_task"] else []),
        ("throughput, successes per 10 min", "throughput_per_10min", "throughput_ci95", _number),
    ]
    return [
        (label, [_cell(report[name], key, interval, show) for name in ("base", "rlt")])
        for label, key, interval, show in kinds
    ]


def _cell(
    policy: dict[str, Any] | None, key: str, interval: str | None, show: Callable[[Any], str]
) -> Cell:
    if policy is None:
        return ("not evaluated" if key == "episodes" else "–", "")
    if interval is None:
        return (show(policy[key]), "")
    low, high = policy[interval]
    return (show(policy[key]), f"[{show(low)} to {show(high)}]".replace(" %", ""))


def _learning_curve(report: dict[str, Any], runs: Sequence[RunFolder]) -> str:
    curves = [curve for curve in map(training_curve, runs) if len(curve)]
    if not curves:
        return ""
    base, rlt = (
        (report[name]["success_rate"], report[name]["success_rate_ci95"]) if report[name] else None
        for name in ("base", "rlt")
    )
    return figures.learning_curve(
        curves,
        warmup_episodes=len(runs[0].of_kind(EpisodeKind.WARMUP)),
        window=min(ROLLING_WINDOW, *map(len, curves)),
        base=base,
        rlt=rlt,
    )


def _length_histogram(runs: Sequence[RunFolder]) -> str:
    groups = []
    for kind, name in POLICY_NAMES.items():
        episodes = [item for run in runs for item in run.of_kind(kind)]
        steps = [item.steps for item in episodes if item.outcome is Outcome.SUCCESS]
        if episodes:
            groups.append((name, np.asarray(steps, dtype=np.float64), len(episodes) - len(steps)))
    return figures.length_histogram(groups, runs[0].longest_ticks) if groups else ""


def _strips(run: RunFolder) -> list[tuple[str, list[str]]]:
    """Title and base64 PNGs of each camera strip."""
    return [
        (
            f"{POLICY_NAMES[kind]}, {camera} camera: {_first_episode(run, kind)}",
            [base64.b64encode(path.read_bytes()).decode() for path in paths],
        )
        for (kind, camera), paths in run.frames().items()
    ]


def _first_episode(run: RunFolder, kind: EpisodeKind) -> str:
    """How the episode in the frames ended."""
    for item in run.episodes:
        if item.kind is kind:
            helped = ", with a person's takeover" if assisted(item) else ""
            return f"{item.outcome.name.lower()} after {item.steps} steps{helped}"
    return "not ended"


def _facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    transitions, learner = report["transitions"], report["learner"]
    interventions = report["interventions"]
    return [
        ("transitions committed", _number(transitions["committed"])),
        *_log_facts(report["log"]),
        ("transitions received by the learner", _number(transitions["received"])),
        (
            "transitions lost, duplicated",
            f"{_number(transitions['lost'])}, {_number(transitions['duplicated'])}",
        ),
        ("critic updates", _number(learner["updates"])),
        ("updates per second", _number(learner["updates_per_second"])),
        (
            "takeovers by a person",
            f"{_number(interventions['takeovers'])} in {_number(interventions['episodes'])} "
            f"episodes, {_number(interventions['ticks'])} control ticks",
        ),
        ("transitions with a person's actions", _number(transitions["human"])),
    ]


def _log_facts(log: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What the log holds, if it is there."""
    if log is None:
        return []
    names = ("inserts", "revisions", "tombstones", "episode_ends")
    return [
        ("inserted, revised, removed windows; episodes' ends",
         ", ".join(_number(log[name]) for name in names)),
        *(
            (f"windows {what}", ", ".join(f"{_number(n)} {name}" for name, n in log[key].items()))
            for key, what in (("kinds", "by kind"), ("sources", "with a tick decided by"))
        ),
    ]


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _percent_fine(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def _signed_points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "\u2212")
