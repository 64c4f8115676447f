"""The report's figures, compared with values computed by hand or from tables."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.statistics import (
    compare,
    judged,
    paired_bootstrap,
    summarise,
    throughput,
    wilson,
)
from rlt_core.records import EpisodeKind, Outcome

DT = 0.02


def make_result(seed=0, outcome=Outcome.SUCCESS, steps=100, label_source="auto"):
    return EpisodeResult(1, EpisodeKind.EVAL, seed, outcome, steps, label_source, 0, steps, 0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (90, 100, 0.8256, 0.9448),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500), st.data())
def test_wilson_interval_holds_the_rate(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError):
        wilson(successes, n)


def test_bootstrap_matches_the_normal_interval_of_many_pairs():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 0.5, size=400)
    low, high = paired_bootstrap(differences, np.random.default_rng(1))
    half = 1.96 * differences.std() / 20
    assert (low, high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=0.005
    )
    assert (low, high) == paired_bootstrap(differences, np.random.default_rng(1))


def test_bootstrap_of_nothing_is_refused():
    with pytest.raises(ValueError):
        paired_bootstrap(np.array([]), np.random.default_rng(0))


def test_throughput_counts_the_time_of_failures_too():
    results = [make_result(steps=100), make_result(steps=200, outcome=Outcome.FAILURE)]
    assert throughput(results, DT) == pytest.approx(1 * 600 / (300 * DT))
    assert throughput([], DT) == 0.0


def test_summary():
    results = [
        make_result(0, steps=100),
        make_result(1, steps=140),
        make_result(2, steps=90, outcome=Outcome.FAILURE, label_source="human"),
        make_result(3, steps=300, outcome=Outcome.TRUNCATED, label_source="time_limit"),
        make_result(4, steps=5, outcome=Outcome.TRUNCATED, label_source="abort"),
        make_result(5, steps=5, outcome=Outcome.NONE, label_source="discard"),
    ]
    summary = summarise(results, DT, 300, np.random.default_rng(0))
    assert (summary.episodes, summary.successes, summary.success_rate) == (4, 2, 0.5)
    assert summary.success_rate_ci95 == wilson(2, 4)
    assert summary.median_steps == np.median([100, 140, 300, 300])
    assert summary.median_steps_success == 120
    assert summary.throughput_per_10min == pytest.approx(2 * 600 / (630 * DT))
    low, high = summary.throughput_ci95
    assert 0.0 == low < summary.throughput_per_10min < high


def test_summary_without_success_and_without_episodes():
    failure = make_result(outcome=Outcome.FAILURE, steps=300)
    summary = summarise([failure], DT, 300, np.random.default_rng(0))
    assert summary.median_steps_success is None and summary.throughput_ci95 == (0.0, 0.0)
    with pytest.raises(ValueError, match="no judged episode"):
        summarise([make_result(outcome=Outcome.NONE)], DT, 300, np.random.default_rng(0))


def test_difference_is_paired_by_seed():
    outcomes = [Outcome.FAILURE, Outcome.SUCCESS]
    base = [make_result(seed, outcomes[seed % 2]) for seed in range(9)]
    trained = [make_result(seed) for seed in range(8, -1, -1) if seed != 3]
    difference = compare(base, trained, np.random.default_rng(0))
    assert difference.pairs == 8
    assert difference.success_rate == pytest.approx(5 / 8)
    low, high = difference.ci95
    assert low < 5 / 8 < high


def test_difference_needs_pairs():
    with pytest.raises(ValueError, match="share no seed"):
        compare([make_result(1)], [make_result(2)], np.random.default_rng(0))
    with pytest.raises(ValueError, match="twice"):
        compare([make_result(1)] * 2, [make_result(1)], np.random.default_rng(0))


@pytest.mark.parametrize("kind", [EpisodeKind.BASE_EVAL, EpisodeKind.EVAL])
def test_an_evaluation_with_a_persons_help_is_no_success_of_the_policy(kind):
    alone = [dataclasses.replace(make_result(seed), kind=kind) for seed in range(4)]
    helped = dataclasses.replace(alone[0], label_source="human", interventions=1, human_ticks=20)
    results = [helped, *alone[1:]]
    summary = summarise(results, DT, 300, np.random.default_rng(0))
    assert (summary.episodes, summary.successes, summary.assisted) == (4, 3, 1)
    assert summary.median_steps_success == 100
    assert summarise([helped], DT, 300, np.random.default_rng(0)).median_steps == 300
    assert throughput(judged(results), DT) == pytest.approx(3 * 600 / (400 * DT))
    assert compare(alone, results, np.random.default_rng(0)).success_rate == -0.25


def test_in_training_a_persons_help_is_welcome():
    helped = dataclasses.replace(make_result(), kind=EpisodeKind.TRAIN, human_ticks=20)
    assert judged([helped]) == [helped]


def test_only_judged_episodes_count():
    good = make_result()
    aborted = dataclasses.replace(good, outcome=Outcome.TRUNCATED, label_source="abort")
    faulted = dataclasses.replace(aborted, label_source="fault", human_ticks=20)
    held = dataclasses.replace(aborted, label_source="held", held_ticks=90)
    assert judged([good, aborted, faulted, held]) == [good]
