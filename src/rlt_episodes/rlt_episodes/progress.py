"""The progress of a run, one line per episode."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import EpisodePlan
from rlt_core.episodes.statistics import counts, judged, wilson
from rlt_core.records import EpisodeKind, Outcome

WINDOW = 25
NAMES = {
    EpisodeKind.BASE_EVAL: "base eval",
    EpisodeKind.WARMUP: "train",
    EpisodeKind.TRAIN: "train",
    EpisodeKind.EVAL: "rlt eval",
}


def progress_line(
    schedule: Sequence[EpisodePlan],
    results: Sequence[EpisodeResult],
    wall_seconds: float,
    robot_seconds: float,
    updates: int = 0,
    policy_version: int = 0,
    learner: str = "",
) -> str:
    """Format the progress of a run; uncounted episodes are shown, and are not failures.

    Args:
        schedule: All planned episodes.
        results: Those that have ended, in order.
        wall_seconds: Wall time since the first episode began.
        robot_seconds: Robot time of the ended episodes.
        updates: Critic updates done.
        policy_version: Version of the weights that act.
        learner: Why no new weights come; empty if nothing is wrong.
    """
    last = results[-1]
    name = NAMES[last.kind]
    phase = [plan.episode for plan in schedule if NAMES[plan.kind] == name]
    ended = [result for result in results if NAMES[result.kind] == name]
    counted = judged(ended)
    recent = counted[-WINDOW:]
    remaining = wall_seconds / len(results) * (len(schedule) - len(results))
    parts = [f"{name} {phase.index(last.episode) + 1:3d}/{len(phase)}"]
    if recent:
        successes = sum(result.outcome is Outcome.SUCCESS for result in recent)
        parts += [
            f"success {100 * successes / len(recent):3.0f} % (last {len(recent)})",
            f"median {median(result.steps for result in recent):.0f} steps",
        ]
    if len(counted) < len(ended):
        left_out = f"{len(ended) - len(counted)} not counted"
        judge = last.label_source.replace("_", " ")
        parts.append(left_out if counts(last) else f"{left_out}, this one: {judge}")
    takeovers = sum(result.interventions for result in ended[-WINDOW:])
    if takeovers:
        parts.append(f"takeovers {takeovers}")
    if any(plan.kind is EpisodeKind.TRAIN for plan in schedule):
        parts += [f"updates {updates}", f"policy v{policy_version}"]
    parts += [
        f"{robot_seconds / max(wall_seconds, 1e-9):.1f}x real time",
        f"eta {int(remaining) // 60}:{int(remaining) % 60:02d}",
    ]
    return " | ".join([*parts, learner] if learner else parts)


def summary_lines(results: Sequence[EpisodeResult]) -> list[str]:
    """One line per evaluation: success with its 95 % interval, and how long a success takes."""
    lines = []
    for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL):
        counted = judged([result for result in results if result.kind is kind])
        if not counted:
            continue
        steps = [result.steps for result in counted if result.outcome is Outcome.SUCCESS]
        low, high = wilson(len(steps), len(counted))
        line = (
            f"{NAMES[kind]}: {len(steps)}/{len(counted)} = {100 * len(steps) / len(counted):.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
        )
        lines.append(line + (f", median of successes {median(steps):.0f} steps" if steps else ""))
    return lines
