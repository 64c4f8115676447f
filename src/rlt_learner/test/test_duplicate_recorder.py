"""Two recorders of one run: exactly one stays, whichever discovers the other first."""

from __future__ import annotations

import itertools

import pytest

from rlt_interfaces.msg import RecorderStatus
from rlt_learner.recorder.duplicate_recorder import DuplicateRecorders
from rlt_node.process import NodeError


def status(name: str, committed: int = 0, begun: bool = False, run: str = "run") -> RecorderStatus:
    return RecorderStatus(run=run, recorder=name, committed=committed, begun=begun)


def stays(mine: RecorderStatus, other: RecorderStatus) -> bool:
    try:
        return bool(DuplicateRecorders().note(mine, other))
    except NodeError as error:
        assert mine.recorder in str(error) and other.recorder in str(error)
        return False


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.product(
        [status("a", count, begun) for count in (0, 5, 9) for begun in (False, True)],
        [status("b", count, begun) for count in (0, 5, 9) for begun in (False, True)],
    )),
)
def test_exactly_one_of_two_stays(first, second):
    staying = [stays(first, second), stays(second, first)]
    assert staying.count(True) == (2 if first.begun and second.begun else 1)
    if first.begun != second.begun:
        assert staying == [first.begun, second.begun], "one that had committed gave way"
    elif not first.begun and first.committed != second.committed:
        assert staying[0] == (first.committed > second.committed), "the longer log gave way"


def test_the_first_of_two_copies_of_one_log_stays_by_its_name():
    assert stays(status("a", 100), status("b", 100))
    assert not stays(status("b", 100), status("a", 100))


def test_a_rival_is_said_once_and_oneself_or_another_run_is_none():
    rivals, mine = DuplicateRecorders(), status("a", 5, begun=True)
    assert rivals.note(mine, mine) == ""
    assert rivals.note(mine, status("", 9, begun=True)) == ""
    assert rivals.note(mine, status("b", 9, begun=True, run="another")) == ""
    assert "recorded by b and by a" in rivals.note(mine, status("b", 9, begun=True))
    assert rivals.note(mine, status("b", 9, begun=True)) == ""
