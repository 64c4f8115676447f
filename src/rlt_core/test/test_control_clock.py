"""The control clock: no tick is made up for, and the lateness of all ticks is measured."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.control.control_clock import OVERRUN_TICKS, ControlClock, WallClock

DT = 0.02


def run(clock, delays, now=100.0):
    """Beat like a thread that wakes up `delay` after a tick is due; return the ticks' times."""
    times = []
    for delay in delays:
        now = max(now, clock.due) + delay
        clock.begin_tick(now)
        times.append(now)
    return times


def test_ticks_in_time_keep_the_rate():
    clock = ControlClock(DT, 4)
    times = run(clock, [0.0] + [0.003, 0.001] * 50)
    np.testing.assert_allclose(times[-1] - times[0], 100 * DT + 0.001, atol=1e-9)
    late = clock.summary()
    assert (late.lost_ticks, late.max) == (0, pytest.approx(0.003))
    assert late.mean == pytest.approx(0.002, abs=1e-4)


@given(st.lists(st.floats(0.0, 3.0), min_size=2, max_size=40))
def test_whatever_the_delays_no_burst_follows(delays):
    clock = ControlClock(DT, 4)
    times = run(clock, delays)
    gaps = np.diff(times)
    assert (gaps >= 0.5 * DT - 1e-9).all()
    assert clock.due >= times[-1] + 0.5 * DT - 1e-9
    assert len(times) <= (times[-1] - times[0]) / DT + 2.0


def test_lost_periods_are_counted():
    clock = ControlClock(DT, 4)
    run(clock, [0.0, 0.0, 3.5 * DT, 0.0])
    assert clock.summary().lost_ticks == 3


def test_a_stall_is_trouble_until_everybody_can_be_heard_again():
    clock = ControlClock(DT, 4)
    told = []
    now = 100.0
    for delay in (0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0):
        now = run(clock, [delay], now)[0]
        told.append(clock.fault.code if clock.fault else "")
    assert told == ["", ""] + ["stall"] * 4 + [""]


def test_an_overrun_now_and_then_is_none():
    clock = ControlClock(DT, 4)
    for delay in itertools.islice(itertools.cycle([1.5 * DT] + [0.0] * 29), 300):
        run(clock, [delay], clock.due if clock.due > 0 else 100.0)
        assert clock.fault is None


def test_overruns_in_a_row_hold_until_none_was_for_long():
    clock = ControlClock(DT, 4)
    run(clock, [0.0])
    told = []
    for delay in [1.5 * DT] * 3 + [0.0] * (OVERRUN_TICKS + 5):
        run(clock, [delay], clock.due)
        told.append(clock.fault is not None)
    assert told == [False] * 2 + [True] * OVERRUN_TICKS + [False] * 6


def test_a_wall_clock_that_is_set_is_noticed_once():
    clock = WallClock()
    said = [clock.change(wall, mono) for wall, mono in (
        (1000.0, 5.0), (1001.1, 6.0), (4602.0, 7.0), (4603.0, 8.0), (1004.0, 9.0),
    )]
    assert [bool(sentence) for sentence in said] == [False, False, True, False, True]
    assert "by +3599.9 s" in said[2] and "by -3600.0 s" in said[4]
