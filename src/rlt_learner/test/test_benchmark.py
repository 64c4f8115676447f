"""The benchmark command: installed defaults in, one honest row per competitor out."""

import dataclasses

import pytest

from rlt_core.records import EpisodeKind
from rlt_learner.benchmark import expert_runs, figures, main, table
from rlt_learner.installed import installed

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
    assert len(defaults.limits.velocity) == 4


def test_an_unknown_task_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown task 'tea'; known tasks: ethernet"):
        installed("tea")


def test_the_clean_expert_is_faster_than_the_faulty_one_on_the_same_seeds(defaults):
    rows = {}
    seeds = {}
    for faults in (True, False):
        results = expert_runs("ethernet", defaults, [0], faults)
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
