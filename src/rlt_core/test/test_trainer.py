"""The trainer: exactly once, strictly in order, whenever the commits arrive."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_core.control.motion_limits import normalised_bound
from rlt_core.log.stream import OtherLog
from rlt_core.records import Commit, EpisodeKind
from rlt_core.rl.trainer import Q_PATIENCE, Trainer
from rlt_core.settings import AgentSettings, ScheduleSettings, TrainingSettings

RUN = "toy"
AGENT = AgentSettings(hidden_dim=8, batch_size=8)
TRAINING = TrainingSettings(
    warmup_episodes=1, warmup_bc_updates=3, warmup_critic_updates=4, replay_capacity=1000
)


@pytest.fixture(scope="module")
def log(toy):
    """The log of a short run of the toy robot."""
    schedule = ScheduleSettings(
        base_eval_episodes=1, episodes=3, eval_episodes=1, time_limit_ticks=24
    )
    runner = toy.runner(schedule=schedule, training=TRAINING, agent=AGENT)
    list(runner.run())
    return runner.log.page(1, len(runner.log))


@pytest.fixture(scope="module")
def make_trainer(toy):
    """Makes new trainers for that log."""
    contract = toy.contract()
    bound = normalised_bound(toy.limits, contract)
    return lambda training=TRAINING: Trainer(contract, bound, AGENT, training, seed=3)


def drive(trainer):
    """Work and publish as a learner does; return the published versions."""
    published = []
    while trainer.work(max_updates=7) or trainer.weights_due:
        if trainer.weights_due:
            published.append(trainer.publish())
    return published


def restored(make_trainer, trainer, log):
    """A new trainer that continues from another's checkpoint and the run's log."""
    second = make_trainer()
    second.load_state_dict(*trainer.state_dict())
    second.require_log(RUN, len(log))
    for transition in log:
        second.ingest(transition)
    return second


def same_state(a, b):
    (tensors, counters), (others, other_counters) = a.state_dict(), b.state_dict()
    return counters == other_counters and all(torch.equal(tensors[n], others[n]) for n in tensors)


def trained_at_once(make_trainer, log):
    trainer = make_trainer()
    for transition in log:
        trainer.ingest(transition)
    return trainer, drive(trainer)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_weights_do_not_depend_on_order_repetition_or_timing(make_trainer, log, data):
    expected, versions = trained_at_once(make_trainer, log)
    order = data.draw(st.permutations(range(len(log))))
    trainer, published = make_trainer(), []
    for position, index in enumerate(order):
        trainer.ingest(log[index])
        if data.draw(st.booleans()):
            assert not trainer.ingest(log[order[position // 2]])
        published += drive(trainer)
    assert same_state(trainer, expected)
    assert [v for v, _ in published] == [v for v, _ in versions] == [1, 2, 3]
    for (_, ours), (_, theirs) in zip(published, versions, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    status = trainer.status()
    assert status.received == status.ingested_seq == len(log) and status.missing == 0


def test_duplicates_are_dropped_and_counted(make_trainer, log):
    trainer = make_trainer()
    assert trainer.ingest(log[0]) and not trainer.ingest(log[0])
    assert trainer.ingest(log[2]) and not trainer.ingest(log[2])
    status = trainer.status()
    assert (status.received, status.duplicates, status.missing) == (2, 2, 1)


def test_commits_after_a_gap_wait_for_it(make_trainer, log):
    trainer = make_trainer()
    for transition in (log[0], log[3], log[4]):
        trainer.ingest(transition)
    drive(trainer)
    assert trainer.status().missing == 2 and trainer.status().ingested_seq == 1
    for transition in log[1:3]:
        trainer.ingest(transition)
    drive(trainer)
    assert trainer.status().missing == 0 and trainer.status().ingested_seq == 5


def test_an_uncommitted_transition_is_refused(make_trainer, log):
    with pytest.raises(ValueError, match="has no seq"):
        make_trainer().ingest(dataclasses.replace(log[0], seq=0))


def test_nothing_is_learned_before_the_last_warm_up_episode_closes(make_trainer, log):
    trainer = make_trainer()
    end = next(
        t for t in log if t.kind == EpisodeKind.WARMUP and t.commit == Commit.EPISODE_END
    )
    for transition in log[: end.seq - 1]:
        trainer.ingest(transition)
    assert trainer.work() == 0 and not trainer.weights_due and trainer.owed == 0
    trainer.ingest(end)
    assert trainer.work() == 7 and trainer.weights_due  # 3 imitations, 4 of the critic only
    assert trainer.status().updates == 4


def test_an_episode_counts_as_ingested_once_its_weights_are_out(make_trainer, log):
    trainer = make_trainer()
    end = next(t for t in log if t.kind == EpisodeKind.TRAIN and t.commit == Commit.EPISODE_END)
    for transition in log[: end.seq]:
        trainer.ingest(transition)
    trainer.work()
    trainer.publish()
    trainer.work()
    assert trainer.weights_due and trainer.status().ingested_seq == end.seq - 1
    version, weights = trainer.publish()
    assert version == 2 and "bound" in weights
    assert trainer.status().ingested_seq == end.seq
    assert trainer.status().policy_version == 2 and trainer.status().critic_loss > 0
    with pytest.raises(RuntimeError, match="no weights are due"):
        trainer.publish()


def test_folding_stops_until_due_weights_are_published(make_trainer, log):
    trainer = make_trainer()
    for transition in log:
        trainer.ingest(transition)
    trainer.work()
    folded = trainer.status().ingested_seq
    assert trainer.weights_due and trainer.work() == 0
    assert trainer.status().ingested_seq == folded < len(log)


def test_the_updates_rate_follows_the_setting(make_trainer, log):
    training = dataclasses.replace(TRAINING, updates_per_chunk=1.0)
    trainer = make_trainer(training)
    for transition in log:
        trainer.ingest(transition)
    drive(trainer)
    windows = sum(t.kind == EpisodeKind.TRAIN and t.commit == Commit.INSERT for t in log)
    assert trainer.status().updates == 4 + windows // 2  # stride 2 of a chunk of 4 ticks


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_a_checkpoint_and_the_log_continue_bit_for_bit(make_trainer, log, fraction):
    expected, _ = trained_at_once(make_trainer, log)
    cut = int(fraction * len(log))
    first = make_trainer()
    for transition in log[:cut]:
        first.ingest(transition)
    drive(first)
    second = restored(make_trainer, first, log)
    drive(second)
    assert same_state(second, expected)
    assert second.status().replay_size == expected.status().replay_size


def test_a_checkpoint_between_two_updates_continues_too(make_trainer, log):
    expected, _ = trained_at_once(make_trainer, log)
    first = make_trainer()
    for transition in log:
        first.ingest(transition)
    first.work(max_updates=5)
    assert first.owed >= 1
    second = restored(make_trainer, first, log)
    drive(second)
    assert same_state(second, expected)


def test_work_that_is_halted_goes_on_as_if_it_had_not_been(make_trainer, log):
    expected, _ = trained_at_once(make_trainer, log)
    trainer = make_trainer()
    for transition in log:
        trainer.ingest(transition)
    assert trainer.work(halt=lambda: True) == 0
    trainer.work(halt=lambda: trainer.status().updates >= 2)
    assert trainer.status().updates == 2 and trainer.owed >= 1 and not trainer.weights_due
    drive(trainer)
    assert same_state(trainer, expected)


def test_a_log_shorter_than_the_checkpoint_is_refused(make_trainer, log):
    trainer, _ = trained_at_once(make_trainer, log)
    with pytest.raises(OtherLog, match="run 'toy' ends at seq 3, the checkpoint was saved at"):
        restored(make_trainer, trainer, log[:3])


def test_a_warm_up_without_a_transition_is_an_error(make_trainer, log):
    trainer = make_trainer()
    end = next(t for t in log if t.kind == EpisodeKind.WARMUP and t.commit == Commit.EPISODE_END)
    trainer.ingest(dataclasses.replace(end, seq=1))
    with pytest.raises(ValueError, match="left no transition"):
        trainer.work()


def test_a_corrected_label_is_no_further_episode(make_trainer, log):
    training = dataclasses.replace(TRAINING, warmup_episodes=2)
    end = next(t for t in log if t.kind == EpisodeKind.WARMUP and t.commit == Commit.EPISODE_END)
    trainer = make_trainer(training)
    for transition in (*log[: end.seq], dataclasses.replace(end, seq=end.seq + 1)):
        trainer.ingest(transition)
    assert drive(trainer) == [] and trainer.status().updates == 0


def test_a_correction_publishes_nothing_even_after_a_checkpoint(make_trainer, log):
    first, versions = trained_at_once(make_trainer, log)
    trainer = restored(make_trainer, first, log)
    corrected = next(
        t for t in reversed(log)
        if t.kind == EpisodeKind.TRAIN and t.commit == Commit.EPISODE_END
    )
    trainer.ingest(dataclasses.replace(corrected, seq=len(log) + 1))
    assert drive(trainer) == []
    status = trainer.status()
    assert status.policy_version == len(versions) and status.ingested_seq == len(log) + 1


def test_counters_are_json(make_trainer, log):
    import json

    trainer, _ = trained_at_once(make_trainer, log)
    _, counters = trainer.state_dict()
    assert json.loads(json.dumps(counters)) == counters
    assert np.isfinite(trainer.status().updates_per_second)


def test_replay_is_rebuilt_page_by_page_and_nothing_is_learnt_or_published_meanwhile(
    make_trainer, log
):
    expected, _ = trained_at_once(make_trainer, log)
    first = make_trainer()
    for transition in log:
        first.ingest(transition)
    first.work(max_updates=5)  # a checkpoint with outstanding updates and weights
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    folded = first.state_dict()[1]["runs"][RUN]["folded_seq"]
    for transition in log[: folded - 1]:
        second.ingest(transition)
        assert second.work() == 0 and second.rebuilding and not second.weights_due
    assert second.status().ingested_seq < folded
    for transition in log[folded - 1 :]:
        second.ingest(transition)
    drive(second)
    assert same_state(second, expected)


def test_a_checkpoint_saved_while_replay_is_rebuilt_forgets_nothing(make_trainer, log):
    expected, _ = trained_at_once(make_trainer, log)
    first, _ = trained_at_once(make_trainer, log)
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    second.ingest(log[0])
    second.work()
    assert second.rebuilding and same_state(second, first)
    third = restored(make_trainer, second, log)
    drive(third)
    assert same_state(third, expected)


def test_a_restart_before_the_weights_were_out_counts_from_zero(make_trainer, log):
    first = make_trainer()
    for transition in log:
        first.ingest(transition)
    first.work()
    assert first.weights_due  # an episode has closed, as the checkpoint records
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    assert second.status().ingested_seq == 0


def test_a_checkpoint_that_lacks_a_counter_is_refused(make_trainer, log):
    tensors, counters = make_trainer().state_dict()
    del counters["updates"]
    with pytest.raises(ValueError, match="the checkpoint lacks updates"):
        make_trainer().load_state_dict(tensors, counters)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["token", "proprio", "rewards", "actions", "next_reference"])
def test_a_number_that_is_not_finite_never_enters_replay(make_trainer, log, field, value):
    clean, _ = trained_at_once(make_trainer, log)
    index = next(
        i for i, t in enumerate(log)
        if t.kind == EpisodeKind.TRAIN and t.commit == Commit.INSERT and not t.terminated
    )
    array = getattr(log[index], field).copy()
    array.flat[0] = value
    trainer, published = trained_at_once(
        make_trainer,
        [*log[:index], dataclasses.replace(log[index], **{field: array}), *log[index + 1 :]],
    )
    status = trainer.status()
    assert status.not_finite == 1 and status.replay_size == clean.status().replay_size - 1
    assert all(torch.isfinite(t).all() for _, weights in published for t in weights.values())
    assert status.ingested_seq == len(log)


@pytest.mark.parametrize("poison", ["nan", "value"])
def test_a_diverging_learner_publishes_nothing_more_and_says_why(make_trainer, log, poison):
    end = next(t for t in log if t.kind == EpisodeKind.TRAIN and t.commit == Commit.EPISODE_END)
    trainer = make_trainer(dataclasses.replace(TRAINING, warmup_critic_updates=Q_PATIENCE + 4))
    for transition in log[: end.seq]:
        trainer.ingest(transition)
    trainer.work(max_updates=4)
    with torch.no_grad():
        for parameter in trainer.agent.critic.parameters():
            parameter *= torch.nan if poison == "nan" else 100.0
    drive(trainer)
    for transition in log[end.seq :]:
        trainer.ingest(transition)
    assert drive(trainer) == [], "the diverged actor was published"
    status = trainer.status()
    reason = "critic_loss is nan" if poison == "nan" else "the mean Q is"
    assert reason in status.fault and "lower learning_rate" in status.fault
    assert status.policy_version == 0 and status.updates_owed == 0
    assert status.ingested_seq == len(log), "the robot must not wait for a learner that diverged"
    again = restored(make_trainer, trainer, log)
    assert again.status().fault == status.fault and drive(again) == []


def test_values_that_drift_off_are_counted_on_after_a_restart(make_trainer, log):
    first, _ = trained_at_once(make_trainer, log)
    first._q_outside = Q_PATIENCE - 1
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    second._check({"q_mean": 9.0})
    assert "the mean Q is 9" in second.status().fault


# ---- Several runs -----------------------------------------------------------------------------


def of_run(log, run):
    """The same commits, made by another robot."""
    return [dataclasses.replace(transition, run=run) for transition in log]


@pytest.fixture(scope="module")
def logs(log):
    """The logs of two robots."""
    return {"left": of_run(log, "left"), "right": of_run(log[:-9], "right")}


def folds_of(trainer):
    """Record the applied commits: (run, seq) in order."""
    folds, fold = [], trainer.replay.fold

    def recorded(transition):
        folds.append((transition.run, transition.seq))
        return fold(transition)

    trainer.replay.fold = recorded
    return folds


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_interleaving_of_two_robots_folds_the_same_commits_each_in_its_order(
    make_trainer, logs, data
):
    expected = {run: make_trainer() for run in logs}
    for run, alone in expected.items():
        for transition in logs[run]:
            alone.ingest(transition)
        drive(alone)
    every = [(run, index) for run, commits in logs.items() for index in range(len(commits))]
    order = data.draw(st.permutations(every))
    trainer = make_trainer()
    folds = folds_of(trainer)
    for position, (run, index) in enumerate(order):
        trainer.ingest(logs[run][index])
        if data.draw(st.booleans()):
            again, earlier = order[position // 2]
            assert not trainer.ingest(logs[again][earlier])
        drive(trainer)
    found, size = trainer.state_dict()[1]["runs"], 0
    for run, alone in expected.items():
        status = trainer.status(run)
        assert status.received == status.ingested_seq == len(logs[run]) and not status.missing
        seqs = [seq for who, seq in folds if who == run]
        assert seqs == sorted(set(seqs))
        assert found[run] == alone.state_dict()[1]["runs"][run]
        size += alone.status().replay_size
    assert trainer.status().replay_size == size
    assert trainer.status().received == sum(map(len, logs.values()))


def test_a_robot_with_a_backlog_does_not_starve_another(make_trainer, logs):
    trainer = make_trainer()
    folds = folds_of(trainer)
    first = next(i for i, t in enumerate(logs["left"]) if t.kind is EpisodeKind.WARMUP)
    for run, count in (("left", first + 9), ("right", first + 4)):
        for transition in logs[run][:count]:
            trainer.ingest(transition)
    drive(trainer)
    assert [run for run, _ in folds] == ["left", "right"] * 4 + ["left"] * 5


def test_warm_up_episodes_of_all_robots_count_together(make_trainer, logs):
    trainer = make_trainer(dataclasses.replace(TRAINING, warmup_episodes=2))
    end = next(
        t.seq for t in logs["left"]
        if t.kind is EpisodeKind.WARMUP and t.commit is Commit.EPISODE_END
    )
    for run, versions in (("left", []), ("right", [1])):
        for transition in logs[run][:end]:
            trainer.ingest(transition)
        assert [version for version, _ in drive(trainer)] == versions


def test_two_robots_go_on_from_a_checkpoint_bit_for_bit(make_trainer, logs):
    """Both logs were applied completely: the state determines the remaining work."""
    first = make_trainer()
    for commits in logs.values():
        for transition in commits:
            first.ingest(transition)
    first.work(max_updates=5)
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    for run in ("right", "left"):  # in any order
        for transition in logs[run][: first.status(run).ingested_seq + 1]:
            assert second.work() == 0 and second.rebuilding
            second.ingest(transition)
    second.work(0)
    assert not second.rebuilding and second.folded == first.folded
    assert same_state(first, second)


def test_a_robot_that_never_comes_back_is_not_awaited_for_ever(make_trainer, logs):
    first = make_trainer()
    for commits in logs.values():
        for transition in commits:
            first.ingest(transition)
    drive(first)
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    *_, last = logs["left"]
    for transition in logs["left"]:
        second.ingest(transition)
    second.work()
    assert second.rebuilding
    second.release("right")
    assert not second.rebuilding
    second.ingest(dataclasses.replace(last, seq=last.seq + 1, episode=99, kind=EpisodeKind.TRAIN))
    assert len(drive(second)) == 1
    for transition in logs["right"]:  # late, but its own
        second.ingest(transition)
    drive(second)
    assert second.status("right").ingested_seq == len(logs["right"])
    assert second.status().replay_size == first.status().replay_size


# ---- A log that is not the checkpoint's ---------------------------------------------------------


def test_a_log_of_the_same_name_with_other_commits_is_refused_and_leaves_nothing(
    make_trainer, log
):
    first, _ = trained_at_once(make_trainer, log)
    index = next(i for i, t in enumerate(log) if t.kind is EpisodeKind.WARMUP)
    other = dataclasses.replace(log[index], proprio=log[index].proprio + 1e-3)
    second = restored(make_trainer, first, [*log[:index], other, *log[index + 1 :]])
    with pytest.raises(OtherLog, match=f"run '{RUN}' differs up to seq {len(log)} from the com"):
        second.work()
    with pytest.raises(OtherLog):
        second.ingest(log[0])
    assert second.status().replay_size == 0
    assert drive(second) == [] and same_state(first, second)
    third = restored(make_trainer, second, log)  # the right one is accepted again
    drive(third)
    assert same_state(third, first)


def test_another_robot_goes_on_beside_a_log_that_was_refused(make_trainer, logs):
    first = make_trainer()
    for transition in logs["left"]:
        first.ingest(transition)
    drive(first)
    second = make_trainer()
    second.load_state_dict(*first.state_dict())
    swapped = [dataclasses.replace(logs["left"][0], episode=7), *logs["left"][1:]]
    for transition in (*swapped, *logs["right"]):
        second.ingest(transition)
    with pytest.raises(OtherLog):
        second.work()
    drive(second)
    assert second.status("right").ingested_seq == len(logs["right"])
    assert second.status().replay_size > 0
    assert not any(key[0] == "left" for key in second.replay._keys)
