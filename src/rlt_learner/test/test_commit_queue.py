"""The recorder's bookkeeping: what a restart finds, and a disk that is full for a while."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rlt_core.log.transition_log import TransitionLog
from rlt_core.records import Commit, EpisodeKind, Outcome, Source, Transition
from rlt_learner.recorder import commit_queue as commit_queue
from rlt_learner.recorder.commit_queue import CommitQueue, interrupted_end


def window(episode, step, commit=Commit.INSERT, source=Source.ACTOR, **changes):
    floats = np.zeros(2, np.float32)
    rows = np.zeros((4, 2), np.float32)
    return dataclasses.replace(
        Transition(
            run="r", episode=episode, step=step, seq=0, commit=commit, kind=EpisodeKind.TRAIN,
            token=floats, proprio=floats, committed=rows[:0], reference=rows, actions=rows,
            sources=np.full(4, source, np.uint8), valid=4, rewards=np.zeros(4, np.float32),
            terminated=False, next_token=floats, next_proprio=floats, next_committed=rows[:0],
            next_reference=rows, limited=np.zeros(4, np.bool_),
        ),
        **changes,
    )


def end(episode, step=9, outcome=Outcome.SUCCESS):
    return window(episode, step, Commit.EPISODE_END, outcome=outcome)


class FailingLog(TransitionLog):
    """A log whose disk can be full."""

    full = False

    def commit_all(self, transitions):
        if self.full:
            raise OSError("log.sqlite cannot store a commit (full): free space on its disk")
        return super().commit_all(transitions)


def test_a_restart_finds_what_was_there():
    log = TransitionLog("r")
    before = CommitQueue(log)
    before.add([
        window(1, 0), window(1, 2, source=Source.HUMAN), end(1),
        window(1, 2, Commit.REVISION, Source.HUMAN), window(1, 4, source=Source.HUMAN),
        end(1, outcome=Outcome.FAILURE),
        window(2, 0, source=Source.BLEND), window(2, 2), window(2, 4),
        window(2, 2, Commit.TOMBSTONE), window(2, 4, Commit.REVISION, valid=3),
    ])
    before.flush()
    for commits in (before, CommitQueue(log)):
        assert (commits.episode, commits.episode_seq, commits.human) == (1, 6, 3)
        assert commits.closed_as(1) is Outcome.FAILURE and commits.closed_as(2) is None
        assert [(t.step, t.valid) for t in commits.unclosed] == [(0, 4), (4, 3)]
    assert before.begun == 11 and CommitQueue(log).begun == 0


def test_a_correction_of_an_older_episode_leaves_the_running_one_open():
    log = TransitionLog("r")
    before = CommitQueue(log)
    before.add([
        window(1, 0), end(1), window(2, 0), window(2, 2), end(1, outcome=Outcome.FAILURE),
        window(2, 4),
    ])
    before.flush()
    for commits in (before, CommitQueue(log)):
        assert [(t.episode, t.step) for t in commits.unclosed] == [(2, 0), (2, 2), (2, 4)]
        assert commits.closed_as(1) is Outcome.FAILURE


def test_an_episode_that_nobody_saw_ending_is_truncated_after_its_last_window():
    commits = CommitQueue(TransitionLog("r"))
    commits.add([window(3, 0), window(3, 2)])
    commits.flush()
    ending = interrupted_end(commits.unclosed)
    assert (ending.episode, ending.step, ending.outcome) == (3, 6, Outcome.TRUNCATED)
    assert ending.commit is Commit.EPISODE_END and not ending.terminated and not ending.token.size
    assert commits.add([ending])
    commits.flush()
    assert not commits.unclosed and commits.closed_as(3) is Outcome.TRUNCATED


def test_what_a_full_disk_does_not_take_waits_in_order():
    log = FailingLog("r")
    commits = CommitQueue(log)
    log.full = True
    commits.add([window(1, 0)])
    assert commits.flush() == [] and "free space" in commits.fault
    commits.add([window(1, 2), end(1)])
    assert commits.flush() == [] and (commits.waiting, commits.episode, len(log)) == (3, 0, 0)
    log.full = False
    assert [t.step for t in commits.flush()] == [0, 2, 9]
    assert (commits.fault, commits.waiting, commits.episode) == ("", 0, 1)


def test_a_log_that_lacks_what_a_learner_has_is_refused():
    commits = CommitQueue(TransitionLog("r"))
    commits.require(0)
    commits.add([window(1, 0), end(1)])
    commits.flush()
    commits.require(2)
    with pytest.raises(ValueError, match="has received 3 commits of run 'r', its log holds 2: .*"):
        commits.require(3)


def test_too_much_that_waits_is_an_error_never_a_loss(monkeypatch):
    monkeypatch.setattr(commit_queue, "MAX_WAITING", 2)
    log = FailingLog("r")
    log.full = True
    commits = CommitQueue(log)
    commits.add([window(1, 0)])
    commits.flush()
    with pytest.raises(OSError, match="3 transitions wait: log.sqlite cannot store a commit"):
        commits.add([window(1, 2), window(1, 4)])


@pytest.mark.parametrize("field", ["token", "rewards", "actions", "next_reference"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_window_that_is_not_finite_is_never_committed(field, value):
    commits = CommitQueue(TransitionLog("r"))
    bad = window(1, 0)
    array = getattr(bad, field).copy()
    array.flat[0] = value
    commits.add([dataclasses.replace(bad, **{field: array}), window(1, 2)])
    assert [t.step for t in commits.flush()] == [2] and commits.not_finite == 1
