"""Every commit is taken once, whatever comes twice, late or never, and memory stays bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_learner.intake import Intake

BACKLOG = 20


@settings(max_examples=200, deadline=None)
@given(data=st.data(), total=st.integers(1, 120))
def test_everything_arrives_by_topic_or_by_page_within_the_bound(data, total):
    """A topic that loses, repeats and reorders; a recorder that answers; a reader that folds."""
    intake = Intake(backlog=BACKLOG)
    taken: set[int] = set()
    folded = 0

    def offer(seq: int) -> None:
        if intake.take(seq, folded):
            assert seq <= folded + BACKLOG, "too far ahead: memory is not bounded"
            taken.add(seq)

    for seq in data.draw(st.lists(st.integers(1, total), max_size=150)):
        offer(seq)
        assert intake.next_seq == min(set(range(1, total + 2)) - taken)
    intake.hear_of(total)
    assert intake.missing == total - len(taken)
    for _ in range(10 * total):
        first, count = intake.page(folded, largest=7)
        assert count <= 7 and not taken & set(range(first, first + count))
        for seq in range(first, first + count):
            offer(seq)
        while folded + 1 in taken:
            folded += 1
        if folded == total:
            break
    assert folded == total and intake.missing == 0 and intake.page(folded, 7) == (0, 0)


def test_a_commit_that_may_still_be_on_its_way_is_not_asked_for():
    intake = Intake()
    intake.hear_of(1)
    assert not intake.overdue(0) and intake.overdue(0)
    intake.take(1, 0)
    assert not intake.overdue(0)
    intake.take(3, 0)
    assert not intake.overdue(0) and intake.overdue(0) and intake.page(0, 9) == (2, 1)


def test_a_checkpoint_needs_its_commits_although_nobody_has_spoken_of_them():
    intake = Intake(needed=5)
    assert intake.missing == 5 and intake.page(0, 99) == (1, 5)


def test_a_paused_reader_asks_for_no_more_than_it_may_hold():
    intake = Intake(backlog=10)
    intake.hear_of(1000)
    for seq in range(1, 11):
        assert intake.take(seq, 0)
    assert not intake.take(11, 0) and intake.page(0, 99) == (0, 0)
    assert intake.page(4, 99) == (11, 4) and intake.missing == 990
