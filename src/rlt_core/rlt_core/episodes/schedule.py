"""The schedule of a run: its episodes, their order and their seeds."""

from __future__ import annotations

from dataclasses import dataclass

from rlt_core.records import EpisodeKind
from rlt_core.settings import ScheduleSettings

SEEDS_PER_RUN = 1_000_000
"""Lower seeds belong to pretraining and tuning; every run seed has a block of this size."""
EVALUATION_SEEDS = 500_000
"""Offset of the evaluation seeds within the block; training seeds are below it."""


@dataclass(frozen=True)
class EpisodePlan:
    """One scheduled episode: its number in the run (from 1), its kind and its seed."""

    episode: int
    kind: EpisodeKind
    seed: int


def make_schedule(settings: ScheduleSettings, warmup_episodes: int) -> tuple[EpisodePlan, ...]:
    """Plan a run: base evaluation, warm-up, training, evaluation.

    The two evaluations are paired: their episodes i share a seed. Training seeds never occur in
    evaluation, and runs with different seeds share no episode seed.

    Args:
        settings: Numbers of episodes and the run's seed.
        warmup_episodes: How many of the training episodes the base policy drives.

    Returns:
        The plan, episodes numbered from 1.

    Raises:
        ValueError: If there are no episodes, warm-up leaves no training, or a block of seeds is
            too small.
    """
    if settings.episodes and settings.episodes <= warmup_episodes:
        raise ValueError(
            f"episodes {settings.episodes} include {warmup_episodes} warm-up episodes and leave "
            "none to train: raise episodes or lower warmup_episodes"
        )
    counts = {
        EpisodeKind.BASE_EVAL: settings.base_eval_episodes,
        EpisodeKind.WARMUP: min(warmup_episodes, settings.episodes),
        EpisodeKind.TRAIN: max(settings.episodes - warmup_episodes, 0),
        EpisodeKind.EVAL: settings.eval_episodes,
    }
    if not any(counts.values()):
        raise ValueError("the schedule has no episode: raise episodes or an evaluation's count")
    if max(counts.values()) > EVALUATION_SEEDS or settings.episodes > EVALUATION_SEEDS:
        raise ValueError(f"a run has at most {EVALUATION_SEEDS} episodes of a kind: lower episodes")
    training = (settings.seed + 1) * SEEDS_PER_RUN
    evaluation = training + EVALUATION_SEEDS
    first = {
        EpisodeKind.BASE_EVAL: evaluation,
        EpisodeKind.WARMUP: training,
        EpisodeKind.TRAIN: training + counts[EpisodeKind.WARMUP],
        EpisodeKind.EVAL: evaluation,
    }
    pairs = [(kind, first[kind] + i) for kind, count in counts.items() for i in range(count)]
    return tuple(
        EpisodePlan(number, kind, seed) for number, (kind, seed) in enumerate(pairs, start=1)
    )
