"""The recorder's bookkeeping: what a restart finds, and a disk that takes nothing for a while."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rlt_core.log import TransitionLog
from rlt_core.records import Commit, EpisodeKind, Outcome, Source, Transition
from rlt_learner import ledger as ledger_module
from rlt_learner.ledger import Ledger, interrupted_end


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
            raise OSError("log.sqlite takes no commit (full): make room on its disk")
        return super().commit_all(transitions)


def test_a_restart_finds_what_was_there():
    log = TransitionLog("r")
    before = Ledger(log)
    before.add([
        window(1, 0), window(1, 2, source=Source.HUMAN), end(1),
        window(1, 2, Commit.REVISION, Source.HUMAN), window(1, 4, source=Source.HUMAN),
        end(1, outcome=Outcome.FAILURE),
        window(2, 0, source=Source.BLEND), window(2, 2), window(2, 4),
        window(2, 2, Commit.TOMBSTONE), window(2, 4, Commit.REVISION, valid=3),
    ])
    before.flush()
    for ledger in (before, Ledger(log)):
        assert (ledger.episode, ledger.episode_seq, ledger.human) == (1, 6, 3)
        assert ledger.closed_as(1) is Outcome.FAILURE and ledger.closed_as(2) is None
        assert [(t.step, t.valid) for t in ledger.unclosed] == [(0, 4), (4, 3)]
    assert before.begun == 11 and Ledger(log).begun == 0


def test_a_correction_of_an_older_episode_leaves_the_running_one_open():
    log = TransitionLog("r")
    before = Ledger(log)
    before.add([
        window(1, 0), end(1), window(2, 0), window(2, 2), end(1, outcome=Outcome.FAILURE),
        window(2, 4),
    ])
    before.flush()
    for ledger in (before, Ledger(log)):
        assert [(t.episode, t.step) for t in ledger.unclosed] == [(2, 0), (2, 2), (2, 4)]
        assert ledger.closed_as(1) is Outcome.FAILURE


def test_an_episode_that_nobody_saw_ending_is_truncated_after_its_last_window():
    ledger = Ledger(TransitionLog("r"))
    ledger.add([window(3, 0), window(3, 2)])
    ledger.flush()
    ending = interrupted_end(ledger.unclosed)
    assert (ending.episode, ending.step, ending.outcome) == (3, 6, Outcome.TRUNCATED)
    assert ending.commit is Commit.EPISODE_END and not ending.terminated and not ending.token.size
    assert ledger.add([ending])
    ledger.flush()
    assert not ledger.unclosed and ledger.closed_as(3) is Outcome.TRUNCATED


def test_what_a_full_disk_does_not_take_waits_in_order():
    log = FailingLog("r")
    ledger = Ledger(log)
    log.full = True
    ledger.add([window(1, 0)])
    assert ledger.flush() == [] and "make room" in ledger.trouble
    ledger.add([window(1, 2), end(1)])
    assert ledger.flush() == [] and (ledger.waiting, ledger.episode, len(log)) == (3, 0, 0)
    log.full = False
    assert [t.step for t in ledger.flush()] == [0, 2, 9]
    assert (ledger.trouble, ledger.waiting, ledger.episode) == ("", 0, 1)


def test_a_log_that_lacks_what_a_learner_has_is_refused():
    ledger = Ledger(TransitionLog("r"))
    ledger.require(0)
    ledger.add([window(1, 0), end(1)])
    ledger.flush()
    ledger.require(2)
    with pytest.raises(ValueError, match="has received 3 commits of run 'r', its log holds 2: .*"):
        ledger.require(3)


def test_too_much_that_waits_is_an_error_never_a_loss(monkeypatch):
    monkeypatch.setattr(ledger_module, "MAX_WAITING", 2)
    log = FailingLog("r")
    log.full = True
    ledger = Ledger(log)
    ledger.add([window(1, 0)])
    ledger.flush()
    with pytest.raises(OSError, match="3 transitions wait: log.sqlite takes no commit"):
        ledger.add([window(1, 2), window(1, 4)])


@pytest.mark.parametrize("field", ["token", "rewards", "actions", "next_reference"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_window_that_is_not_finite_is_never_committed(field, value):
    ledger = Ledger(TransitionLog("r"))
    bad = window(1, 0)
    array = getattr(bad, field).copy()
    array.flat[0] = value
    ledger.add([dataclasses.replace(bad, **{field: array}), window(1, 2)])
    assert [t.step for t in ledger.flush()] == [2] and ledger.refused == 1
