"""The benchmark command: installed defaults in, one row per competitor out."""

import dataclasses

import pytest

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.records import EpisodeKind, Outcome
from rlt_sim.benchmark import (
    against,
    effort,
    expert_runs,
    figures,
    main,
    sentence,
    table,
    train_runs,
    training_table,
)
from rlt_sim.defaults import installed

EPISODES = 6


@pytest.fixture(scope="module")
def defaults():
    found = installed("ethernet")
    return dataclasses.replace(
        found, schedule=dataclasses.replace(found.schedule, eval_episodes=EPISODES)
    )


def test_the_installed_defaults_are_those_of_the_task_and_the_robot(defaults):
    assert defaults.model.is_dir()
    assert defaults.world == {"clearance_m": 0.0003}
    assert defaults.schedule.time_limit_ticks == 480
    assert len(defaults.limits.groups["arm"]) == 4


def test_an_unknown_task_is_named_with_the_known_ones():
    with pytest.raises(FileNotFoundError, match="no task 'tea': expected one of ethernet"):
        installed("tea")


def test_the_clean_expert_is_faster_than_the_faulty_one_on_the_same_seeds(defaults):
    rows = {}
    seeds = {}
    for faults in (True, False):
        results = expert_runs(defaults, [0], faults)
        assert all(result.kind is EpisodeKind.EVAL for result in results)
        seeds[faults] = [result.seed for result in results]
        (rows[faults],) = figures("expert", results, defaults)
    assert seeds[True] == seeds[False]
    assert rows[False]["success_rate"] == 1.0
    assert rows[False]["median_steps_success"] < rows[True]["median_steps"]
    assert f"| expert | {EPISODES} | 100.0%" in table([rows[False]])


def test_a_missing_model_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="benchmark: error: no contract at"):
        main(["--rows", "rlt", "--model", str(tmp_path / "nowhere")])


def result(episode, kind, outcome=Outcome.SUCCESS, steps=100, takeovers=0, human_ticks=0):
    return EpisodeResult(
        episode, kind, 1000 + episode, outcome, steps, "auto",
        interventions=takeovers, critical_steps=steps, human_ticks=human_ticks,
    )


def test_what_training_cost_is_told_by_quarter():
    training = [
        result(11 + k, EpisodeKind.TRAIN, takeovers=int(k < 3), human_ticks=50 * (k < 3))
        for k in range(8)
    ]
    cost = effort(training)
    assert cost["interventions_per_episode"] == [1.0, 0.5, 0.0, 0.0]
    assert cost["robot_seconds"] == 8 * 100 / 50.0
    assert cost["human_share"] == 150 / 800 and cost["success_rate"] == 1.0
    text = training_table([{"row": "helped", "training": cost}, {"row": "expert"}])
    assert "| helped | 0.3 min | 100.0% | 1.00, 0.50, 0.00, 0.00 | 18.8% |" in text
    assert "expert" not in text and training_table([{"row": "expert"}]) == ""


def test_the_comparison_pairs_evaluations_and_counts_failures_as_the_limit():
    alone = [
        result(1, EpisodeKind.EVAL, Outcome.FAILURE, steps=50),
        result(2, EpisodeKind.EVAL, steps=100),
        result(3, EpisodeKind.TRAIN, steps=7),
    ]
    helped = [result(1, EpisodeKind.EVAL, steps=80), result(2, EpisodeKind.EVAL, steps=90)]
    comparison = against(alone, helped, limit=480)
    assert comparison["success_rate"] == 0.5 and comparison["pairs"] == 2
    assert comparison["steps"] == ((80 - 480) + (90 - 100)) / 2
    assert comparison["steps_ci95"] == (-400.0, -10.0)
    assert "2 paired episodes: success +50.0%" in sentence(comparison)


def test_the_person_helps_in_training_and_only_watches_evaluations(defaults):
    short = dataclasses.replace(
        defaults,
        schedule=dataclasses.replace(
            defaults.schedule, base_eval_episodes=1, episodes=6, eval_episodes=1
        ),
        training=dataclasses.replace(
            defaults.training, warmup_episodes=5, warmup_bc_updates=1, warmup_critic_updates=1
        ),
    )
    results = train_runs(short, [0], "rlt_person")
    helped = [r for r in results if r.interventions]
    assert len(helped) >= 3 and all(r.kind.stored and r.human_ticks > 10 for r in helped)
    warmup = [r for r in results if r.kind is EpisodeKind.WARMUP]
    assert sum(r.outcome is Outcome.SUCCESS for r in warmup) >= 4
