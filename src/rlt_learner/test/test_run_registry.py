"""Whose runs are learnt from, and what is never mixed."""

from __future__ import annotations

import pytest

from rlt_learner.learner.run_registry import ABSENT_SECONDS, RunRegistry, TooEarly

TEAM = ("/left", "/right")


def registry(needed=None, robots=TEAM, lockstep=False):
    return RunRegistry(needed or {}, robots, lockstep, "runs/a")


def test_robots_come_late_leave_and_come_back_with_another_run():
    made = registry()
    first = made.admit("l1", "/left")
    first.take(1, 0)
    assert made.admit("r1", "/right") is not first
    assert made.admit("l2", "/left").next_seq == 1 and set(made.runs) == {"l2", "r1"}
    assert made.admit("l1", "/left") is first, "it would be ingested twice"


def test_a_run_of_two_robots_is_refused_with_both_names_until_the_first_has_left():
    made = registry()
    made.admit("run", "/left")
    with pytest.raises(ValueError, match="robots /left and /right both record run 'run'"):
        made.admit("run", "/right")
    assert made.admit("run", "/left") and made.runs == ("run",)
    made.admit("other", "/left")
    made.admit("run", "/right")


def test_in_lockstep_a_second_run_is_refused_once_something_was_learnt():
    made = registry(robots=("",), lockstep=True)
    made.admit("one", "/rlt")
    made.admit("two", "/rlt").take(1, 0)
    with pytest.raises(ValueError, match="run 'three' began while this learner has learnt from 't"):
        made.admit("three", "/rlt")


def test_the_checkpoint_of_another_run_is_not_mixed_in_but_a_known_run_opens_the_door():
    made = registry({"l1": 7, "r1": 9})
    with pytest.raises(TooEarly, match="runs/a holds the checkpoint of run 'l1' and 'r1', this"):
        made.admit("new", "/right")
    assert made.admit("l1", "/left").missing == 7
    made.admit("new", "/right")


@pytest.mark.parametrize(
    ("robots", "lockstep", "finding"),
    [
        ([], False, "name each robot once"),
        (["/a", "/a"], False, "name each robot once"),
        (["/a", "/b"], True, "in lockstep there is one"),
    ],
)
def test_a_team_that_is_none_is_refused(robots, lockstep, finding):
    with pytest.raises(ValueError, match=finding):
        registry(robots=robots, lockstep=lockstep)


def test_a_run_that_nobody_serves_is_given_up_once_and_only_when_another_is_here():
    made, late = registry({"l1": 7, "r1": 9}), ABSENT_SECONDS + 0.1
    assert made.absent({}, 0.0) == made.absent({}, late) == []
    made.admit("l1", "/left")
    assert made.absent({"l1": 7}, 100.0) == []
    assert made.absent({"l1": 7, "r1": 3}, 100.0 + late) == [], "it came on"
    assert made.absent({"l1": 7, "r1": 3}, 100.0 + 2 * late) == ["r1"]
    assert made.absent({"l1": 7, "r1": 3}, 100.0 + 9 * late) == []


def test_a_run_alone_is_awaited_for_ever():
    made = registry({"run": 7}, robots=("",))
    made.admit("run", "/rlt")
    for now in range(0, 1000, 100):
        assert made.absent({}, now) == []
