"""The in-process runner: a complete run on the toy robot."""

from __future__ import annotations

import dataclasses
from collections import Counter
from types import SimpleNamespace

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


@pytest.mark.parametrize("delay", [0, 3])
def test_a_full_task_stores_its_critical_phases_alone(toy, delay):
    schedule = ScheduleSettings(
        base_eval_episodes=1, episodes=4, eval_episodes=1, time_limit_ticks=101, full_task=True
    )
    contract = toy.contract(planning_delay_ticks=delay)
    runner = toy.runner(contract=contract, schedule=schedule)
    results = list(runner.run())
    assert all(0 < result.critical_steps < result.steps for result in results)
    for result in results:
        *windows, end = [t for t in commits(runner) if t.episode == result.episode]
        assert end.commit == Commit.EPISODE_END and end.step == result.steps
        if result.kind.stored:
            first = result.steps - result.critical_steps + delay
            assert min(t.step for t in windows) == first
            assert (first - delay) % contract.chunk == 0
            count = len(range(first, result.steps, contract.stride))
            assert len(windows) == count
        if result.kind == EpisodeKind.TRAIN:
            assert windows[0].sources[0] == Source.ACTOR
    per_window = 5 * contract.stride / contract.chunk
    trained = sum(
        t.commit == Commit.INSERT and t.kind == EpisodeKind.TRAIN for t in commits(runner)
    )
    assert runner.trainer.status().updates == 20 + int(trained * per_window)


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
        hidden_dim=32, batch_size=48, gamma=0.95, beta_sum=0.1, learning_rate=1e-3,
        exploration_noise=0.2, exploration_noise_chunk=0.1,
    )
    results = list(toy.runner(schedule=schedule, training=training, agent=agent).run())
    steps = {
        kind: [r.steps for r in results if r.kind == kind]
        for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)
    }
    outcomes = [r.outcome for r in results if r.kind == EpisodeKind.EVAL]
    assert outcomes.count(Outcome.SUCCESS) >= 9
    assert np.median(steps[EpisodeKind.EVAL]) < 0.75 * np.median(steps[EpisodeKind.BASE_EVAL])


class ToyPerson:
    """Takes over in ticks 10 to 19 with a constant command; labels wrongly, then correctly."""

    increment = np.array([0.0004, -0.0002])

    def __init__(self, seed, acts=True):
        self.acts, self.ticks, self.buttons = acts, 0, ["failure", "success"] if acts else []

    @property
    def satisfied(self):
        return not self.buttons

    def act(self, task, robot, running):
        self.ticks += running
        presses = () if running or not self.buttons else (self.buttons.pop(0),)
        return SimpleNamespace(
            takeover=self.acts and running and 10 < self.ticks <= 20,
            increment=self.increment,
            presses=presses if task.success else (),
        )


def test_a_persons_ticks_stand_in_the_transitions_and_in_the_results(toy):
    runner = toy.runner()
    runner.person = ToyPerson
    results = list(runner.run())
    for result in results:
        assert result.interventions == int(result.kind.stored)
    stored = [t for t in commits(runner) if t.commit == Commit.INSERT]
    executed = {
        (t.episode, t.step + k): (Source(t.sources[k]), t.actions[k], t.reference[k])
        for t in stored for k in range(t.valid)
    }
    for episode in {t.episode for t in stored}:
        acting = Source.BASE if results[episode - 1].kind is EpisodeKind.WARMUP else Source.ACTOR
        sources = [executed[episode, step][0] for step in range(30)]
        assert sources[:10] == [acting] * 10
        assert sources[10:15] == [Source.BLEND] * 5 and sources[15:20] == [Source.HUMAN] * 5
        assert sources[28] == acting  # back on a chunk that was observed since
        for step in range(10, 20):
            np.testing.assert_array_equal(executed[episode, step][1], executed[episode, step][2])
        np.testing.assert_allclose(executed[episode, 17][1], ToyPerson.increment, rtol=1e-5)


def test_a_persons_wrong_label_is_revised_and_revised_back(toy):
    runner = toy.runner()
    runner.person = ToyPerson
    results = list(runner.run())
    labelled = [r for r in results if r.kind.stored and r.outcome == Outcome.SUCCESS]
    assert labelled and all(r.label_source == "human" for r in labelled)
    assert all(r.label_source != "human" for r in results if not r.kind.stored)
    for result in labelled:
        log = [t for t in commits(runner) if t.episode == result.episode]
        ends = [t.outcome for t in log if t.commit == Commit.EPISODE_END]
        assert ends == [Outcome.SUCCESS, Outcome.FAILURE, Outcome.SUCCESS]
        assert any(t.commit == Commit.REVISION for t in log)
        latest = {t.step: t for t in log if t.commit != Commit.EPISODE_END}
        assert latest[max(latest)].rewards.sum() == 1.0


def test_a_person_who_only_watches_changes_nothing(toy):
    alone, watched = toy.runner(), toy.runner()
    watched.person = lambda seed: ToyPerson(seed, acts=False)
    assert list(alone.run()) == list(watched.run())
    for a, b in zip(commits(alone), commits(watched), strict=True):
        assert_same(a, b)
