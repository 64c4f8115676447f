"""The transition log: gapless numbers, and pages for readers that missed some."""

from __future__ import annotations

import dataclasses

import pytest

from rlt_core.log import TransitionLog


@pytest.fixture
def transition(toy):
    runner = toy.runner()
    next(runner.run())
    return runner.log.page(1, 1)[0]


def test_every_commit_gets_the_next_seq(transition):
    log = TransitionLog("toy")
    committed = [log.commit(transition) for _ in range(3)]
    assert [t.seq for t in committed] == [1, 2, 3] and len(log) == 3


def test_pages_cover_the_log_and_end_with_it(transition):
    log = TransitionLog("toy")
    for _ in range(5):
        log.commit(transition)
    assert [t.seq for t in log.page(2, 3)] == [2, 3, 4]
    assert [t.seq for t in log.page(4, 99)] == [4, 5]
    assert log.page(6, 1) == [] and log.page(1, 0) == []


@pytest.mark.parametrize(("first", "count"), [(0, 1), (-3, 1), (1, -1)])
def test_an_impossible_page_is_refused(first, count):
    with pytest.raises(ValueError, match="seq counts from 1"):
        TransitionLog("toy").page(first, count)


def test_another_runs_transition_is_refused(transition):
    with pytest.raises(ValueError, match="run 'other' does not belong into the log of run 'toy'"):
        TransitionLog("toy").commit(dataclasses.replace(transition, run="other"))
