"""What queued up during a stall is not caught up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlt_policy.backlog import PACED, Backlog, outdated

PERIOD, SILENCE = 0.02, 0.1


def lively() -> tuple[Backlog, float]:
    """A watch that has seen messages at their rate, and the time of the last."""
    backlog = Backlog(PERIOD, SILENCE)
    times = [k * PERIOD for k in range(10)]
    live = [backlog.is_live(now) for now in times]
    assert live == [False] * PACED + [True] * (10 - PACED)
    return backlog, times[-1]


def test_messages_at_their_rate_are_live_whatever_their_jitter():
    backlog, now = lively()
    for gap in (0.001, 0.039, 0.0, 0.0, 0.06, 0.02, 0.09):
        now += gap
        assert backlog.is_live(now)


def test_a_burst_after_a_stall_is_queued_up_and_what_follows_at_rate_is_live():
    backlog, now = lively()
    now += 2.0
    for k in range(50):
        assert not backlog.is_live(now + 0.0002 * k)
    live = [backlog.is_live(now + PERIOD * k) for k in range(1, 10)]
    assert live.index(True) <= PACED
    assert all(live[live.index(True) :])


def test_one_interruption_within_a_burst_does_not_make_it_live():
    backlog, now = lively()
    now += 2.0
    for k in range(50):
        now += 0.03 if k % 10 == 9 else 0.0002
        assert not backlog.is_live(now)


def test_what_a_late_joiner_is_given_at_once_had_queued_up():
    backlog = Backlog(PERIOD, SILENCE)
    assert not any(backlog.is_live(100.0 + 0.0002 * k) for k in range(50))


def test_a_newer_boundary_outdates_everything_before_it():
    assert outdated([], 10, 0) == 0
    assert outdated([20, 22, 24], 10, 0) == 0
    assert outdated([22, 24, 28], 10, 0) == 0
    assert outdated([24, 26, 28, 30], 10, 0) == 3
    assert outdated([20, 30, 40, 42], 10, 0) == 2


def test_a_boundary_whose_chunk_is_over_is_outdated():
    assert outdated([20, 28], 10, 0) == 0
    assert outdated([20, 30 + 2], 10, 0) == 1  # the boundary 30 was never observed
    assert outdated([20, 30 + 2], 10, 4) == 0
    assert outdated([20, 30 + 4], 10, 4) == 1


@given(
    st.lists(st.integers(0, 300), unique=True, max_size=60).map(sorted), st.integers(0, 20),
)
def test_what_is_left_begins_with_the_newest_boundary_or_has_none(ticks, delay):
    chunk = 10
    left = ticks[outdated(ticks, chunk, delay) :]
    assert [tick for tick in left[1:] if tick % chunk == 0] == []
    boundaries = [tick for tick in ticks if tick % chunk == 0]
    if boundaries and boundaries[-1] + delay + chunk > ticks[-1]:
        assert left[0] == boundaries[-1]
