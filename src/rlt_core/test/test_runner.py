"""The in-process runner: a whole run on the toy robot."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from rlt_core.records import Commit, EpisodeKind, Outcome, Source, Transition
from rlt_core.settings import AgentSettings, ScheduleSettings, TrainingSettings


def assert_same(a: Transition, b: Transition) -> None:
    for field in dataclasses.fields(Transition):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), field.name)


def commits(runner):
    return runner.log.page(1, len(runner.log))


def test_the_same_seed_gives_the_same_log_bit_for_bit(toy):
    first, second = toy.runner(), toy.runner()
    results = [list(runner.run()) for runner in (first, second)]
    assert results[0] == results[1]
    assert len(first.log) > 100
    for a, b in zip(commits(first), commits(second), strict=True):
        assert_same(a, b)


def test_another_seed_gives_another_log(toy):
    schedule = ScheduleSettings(
        base_eval_episodes=0, episodes=3, eval_episodes=0, time_limit_ticks=101, seed=1
    )
    first = toy.runner(schedule=schedule)
    second = toy.runner(schedule=dataclasses.replace(schedule, seed=2))
    assert [r.seed for r in first.run()] != [r.seed for r in second.run()]
    assert not np.array_equal(commits(first)[0].actions, commits(second)[0].actions)


def test_every_episode_closes_and_evaluation_leaves_no_windows(toy):
    runner = toy.runner()
    results = list(runner.run())
    kinds = [result.kind for result in results]
    assert kinds == [
        EpisodeKind.BASE_EVAL, *[EpisodeKind.WARMUP] * 2, *[EpisodeKind.TRAIN] * 2,
        EpisodeKind.EVAL,
    ]
    by_commit = Counter((t.kind, t.commit) for t in commits(runner))
    for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL):
        assert by_commit[kind, Commit.INSERT] == 0
        assert by_commit[kind, Commit.EPISODE_END] == 1
    for result in results:
        windows = [t for t in commits(runner) if t.episode == result.episode]
        assert windows[-1].commit == Commit.EPISODE_END
        assert windows[-1].step == result.steps and windows[-1].outcome == result.outcome
        if result.kind.stored:
            assert len(windows) - 1 == -(-result.steps // runner.contract.stride)


def test_seq_is_gapless_and_the_trainer_ingests_all_of_it_once(toy):
    runner = toy.runner()
    list(runner.run())
    assert [t.seq for t in commits(runner)] == list(range(1, len(runner.log) + 1))
    status = runner.trainer.status()
    assert status.ingested_seq == status.received == len(runner.log)
    assert status.duplicates == status.missing == 0 and status.updates_owed < 1
    inserts = sum(t.commit == Commit.INSERT for t in commits(runner))
    assert status.replay_size == inserts


def test_updates_and_versions_follow_the_data(toy):
    runner = toy.runner()
    list(runner.run())
    trained = sum(
        t.commit == Commit.INSERT and t.kind == EpisodeKind.TRAIN for t in commits(runner)
    )
    per_window = 5 * runner.contract.stride / runner.contract.chunk
    assert runner.trainer.status().updates == 20 + int(trained * per_window)
    assert runner.policy.version == 3  # one after warm-up, one after each training episode


def test_sources_and_versions_in_the_log_say_who_acted(toy):
    runner = toy.runner()
    list(runner.run())
    for t in commits(runner):
        if t.commit == Commit.INSERT:
            acting = Source.ACTOR if t.kind == EpisodeKind.TRAIN else Source.BASE
            assert set(t.sources[: t.valid]) == {acting}
            assert (t.policy_version > 0) == (acting == Source.ACTOR)


@pytest.mark.parametrize("delay", [0, 1, 3, 4])
def test_a_planning_delay_shifts_windows_and_fills_committed_actions(toy, delay):
    contract = toy.contract(planning_delay_ticks=delay)
    runner = toy.runner(contract=contract)
    list(runner.run())
    windows = [
        t for t in commits(runner)
        if t.commit == Commit.INSERT and t.kind == EpisodeKind.TRAIN and t.episode == 4
    ]
    executed = {}
    for t in windows:
        assert t.step % contract.stride == delay % contract.stride and t.step >= delay
        assert t.committed.shape == (delay, 2)
        executed |= {t.step + k: t.actions[k] for k in range(t.valid)}
    for t in windows:
        for k in range(delay):
            tick = t.step - delay + k
            np.testing.assert_array_equal(t.committed[k], executed.get(tick, np.zeros(2)))


def test_learning_makes_the_toy_robot_faster(toy):
    schedule = ScheduleSettings(
        base_eval_episodes=10, episodes=60, eval_episodes=10, time_limit_ticks=150
    )
    training = TrainingSettings(
        warmup_episodes=15, warmup_bc_updates=300, warmup_critic_updates=300,
        replay_capacity=20_000,
    )
    agent = AgentSettings(
        hidden=32, batch=48, gamma=0.95, beta_sum=0.1, learning_rate=1e-3, sigma=0.2,
        sigma_chunk=0.1,
    )
    results = list(toy.runner(schedule=schedule, training=training, agent=agent).run())
    steps = {
        kind: [r.steps for r in results if r.kind == kind]
        for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)
    }
    outcomes = [r.outcome for r in results if r.kind == EpisodeKind.EVAL]
    assert outcomes.count(Outcome.SUCCESS) >= 9
    assert np.median(steps[EpisodeKind.EVAL]) < 0.75 * np.median(steps[EpisodeKind.BASE_EVAL])
