"""The figures of a report: rates, medians, throughput, and their 95 % intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.records import EpisodeState, Outcome

Interval = tuple[float, float]

RESAMPLES = 10_000
TEN_MINUTES_S = 600.0
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Summary:
    """The figures of one policy on a set of episodes.

    Attributes:
        episodes: Number of judged episodes n.
        assisted: Number of evaluations among them in which a person drove; they are failures.
        successes: Number of successes among them.
        success_rate: successes / episodes.
        success_rate_ci95: Wilson interval.
        median_steps: Median control ticks; a failure counts as the time limit.
        median_steps_success: Median control ticks of successes, including holds; None without any.
        median_critical_steps: Median control ticks of their critical phases; None without any.
        throughput_per_10min: successes x 600 s / (all executed ticks x dt), resets excluded.
        throughput_ci95: Bootstrap over episodes.
    """

    episodes: int
    assisted: int
    successes: int
    success_rate: float
    success_rate_ci95: Interval
    median_steps: float
    median_steps_success: float | None
    median_critical_steps: float | None
    throughput_per_10min: float
    throughput_ci95: Interval


@dataclass(frozen=True)
class Difference:
    """Success rate of the trained policy minus that of the base policy, on paired seeds.

    Attributes:
        success_rate: Difference of the rates, -1 ... 1.
        ci95: Paired bootstrap interval.
        pairs: Number of seeds on which both policies were judged.
    """

    success_rate: float
    ci95: Interval
    pairs: int


def judged(results: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """Episodes that count, with the outcome they count as; not discarded or truncated from outside.

    A time limit counts even if it truncates: the episode did not succeed. An evaluation in which a
    person drove is a failure, whatever its label: the policy did not succeed alone.
    """
    return [
        dataclasses.replace(result, outcome=Outcome.FAILURE) if assisted(result) else result
        for result in results
        if counts(result)
    ]


def counts(episode: EpisodeResult | EpisodeState) -> bool:
    """Whether an ended episode was judged: not if it was discarded or truncated from outside."""
    judgement = episode.outcome in (Outcome.SUCCESS, Outcome.FAILURE)
    return judgement or episode.label_source == "time_limit"


def assisted(result: EpisodeResult) -> bool:
    """Whether a person drove in an evaluation, which must be driven by the policy alone."""
    return not result.kind.stored and result.human_ticks > 0


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % interval of a rate; (0, 1) if n is 0.

    Raises:
        ValueError: If not 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} episodes are impossible")
    if n == 0:
        return (0.0, 1.0)
    rate, z2 = successes / n, _Z95 * _Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # Rates 0 and 1 are exact ends of the interval; rounding must not exclude the rate itself.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return (low, high)


def paired_bootstrap(
    differences: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile interval of the mean of paired differences (n,).

    Raises:
        ValueError: If there are no differences.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or not differences.size:
        raise ValueError("paired bootstrap needs at least one pair")
    rows = rng.integers(differences.size, size=(resamples, differences.size))
    return _percentiles(differences[rows].mean(axis=1))


def throughput(results: Sequence[EpisodeResult], dt: float) -> float:
    """Successes per ten minutes of robot time, resets excluded; 0 without any tick.

    Args:
        results: Judged episodes, as returned by `judged`.
        dt: Control period in seconds.
    """
    ticks = sum(result.steps for result in results)
    successes = sum(result.outcome is Outcome.SUCCESS for result in results)
    return successes * TEN_MINUTES_S / (ticks * dt) if ticks else 0.0


def summarise(
    results: Sequence[EpisodeResult],
    dt: float,
    time_limit_ticks: int,
    rng: np.random.Generator,
) -> Summary:
    """Compute all figures of one policy.

    Args:
        results: Its episodes; those that do not count are ignored.
        dt: Control period in seconds.
        time_limit_ticks: What a failure counts as in `median_steps`.
        rng: Random generator of the bootstrap.

    Returns:
        The figures.

    Raises:
        ValueError: If no episode counts.
    """
    counted = judged(results)
    if not counted:
        raise ValueError("no judged episode to summarise: the run ended before its evaluation")
    success = np.array([result.outcome is Outcome.SUCCESS for result in counted])
    steps = np.array([result.steps for result in counted], dtype=np.float64)
    critical = np.array([result.critical_steps for result in counted], dtype=np.float64)
    wins = int(success.sum())
    return Summary(
        episodes=len(counted),
        assisted=sum(map(assisted, counted)),
        successes=wins,
        success_rate=wins / len(counted),
        success_rate_ci95=wilson(wins, len(counted)),
        median_steps=float(np.median(np.where(success, steps, time_limit_ticks))),
        median_steps_success=float(np.median(steps[success])) if wins else None,
        median_critical_steps=float(np.median(critical[success])) if wins else None,
        throughput_per_10min=throughput(counted, dt),
        throughput_ci95=_throughput_interval(success, steps, dt, rng),
    )


def compare(
    base: Sequence[EpisodeResult], trained: Sequence[EpisodeResult], rng: np.random.Generator
) -> Difference:
    """Difference of two policies over the seeds on which both were judged.

    Raises:
        ValueError: If they share no seed, or a policy was judged twice on a seed.
    """
    first, second = _by_seed(base), _by_seed(trained)
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError("the evaluations of base and trained policy share no seed: not paired")
    differences = np.array([float(second[seed]) - float(first[seed]) for seed in seeds])
    return Difference(
        float(differences.mean()), paired_bootstrap(differences, rng), len(differences)
    )


def _by_seed(results: Sequence[EpisodeResult]) -> dict[int, bool]:
    counted = judged(results)
    success = {result.seed: result.outcome is Outcome.SUCCESS for result in counted}
    if len(success) < len(counted):
        raise ValueError("an evaluation contains a seed twice: is a run pooled with itself?")
    return success


def _throughput_interval(
    success: NDArray[np.bool_], steps: NDArray[np.float64], dt: float, rng: np.random.Generator
) -> Interval:
    rows = rng.integers(len(steps), size=(RESAMPLES, len(steps)))
    ticks = np.maximum(steps[rows].sum(axis=1), 1.0)
    return _percentiles(success[rows].sum(axis=1) * TEN_MINUTES_S / (ticks * dt))


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return (float(low), float(high))
