"""Every commit is taken once, whatever comes twice, late or never, and memory stays bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_learner.learner.commit_requests import CommitRequests

BACKLOG = 20


@settings(max_examples=200, deadline=None)
@given(data=st.data(), total=st.integers(1, 120))
def test_everything_arrives_by_topic_or_by_page_within_the_bound(data, total):
    """A topic that loses, repeats and reorders; a recorder that answers; a reader that folds."""
    sequence = CommitRequests(backlog=BACKLOG)
    taken: set[int] = set()
    folded = 0

    def offer(seq: int) -> None:
        if sequence.take(seq, folded):
            assert seq <= folded + BACKLOG, "too far ahead: memory is not bounded"
            taken.add(seq)

    for seq in data.draw(st.lists(st.integers(1, total), max_size=150)):
        offer(seq)
        assert sequence.next_seq == min(set(range(1, total + 2)) - taken)
    sequence.note_known(total)
    assert sequence.missing == total - len(taken)
    for _ in range(10 * total):
        first, count = sequence.page(folded, largest=7)
        assert count <= 7 and not taken & set(range(first, first + count))
        for seq in range(first, first + count):
            offer(seq)
        while folded + 1 in taken:
            folded += 1
        if folded == total:
            break
    assert folded == total and sequence.missing == 0 and sequence.page(folded, 7) == (0, 0)


def test_a_commit_that_may_still_be_on_its_way_is_not_asked_for():
    sequence = CommitRequests()
    sequence.note_known(1)
    assert not sequence.overdue(0) and sequence.overdue(0)
    sequence.take(1, 0)
    assert not sequence.overdue(0)
    sequence.take(3, 0)
    assert not sequence.overdue(0) and sequence.overdue(0) and sequence.page(0, 9) == (2, 1)


def test_a_checkpoint_needs_its_commits_although_nobody_has_spoken_of_them():
    sequence = CommitRequests(needed=5)
    assert sequence.missing == 5 and sequence.page(0, 99) == (1, 5)


def test_a_paused_reader_asks_for_no_more_than_it_may_hold():
    sequence = CommitRequests(backlog=10)
    sequence.note_known(1000)
    for seq in range(1, 11):
        assert sequence.take(seq, 0)
    assert not sequence.take(11, 0) and sequence.page(0, 99) == (0, 0)
    assert sequence.page(4, 99) == (11, 4) and sequence.missing == 990
