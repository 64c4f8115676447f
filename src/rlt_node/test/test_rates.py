"""Rates and spreads of counted events, for any value of the clock."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_node.rates import Rate, Spread


def counted(times: list[float]) -> Rate:
    rate = Rate()
    for moment in times:
        rate.count(moment)
    return rate


def test_nothing_is_known_before_a_second_is_over():
    rate = Rate()
    assert math.isnan(rate.mean(100.0)) and math.isnan(rate.worst(100.0))
    rate.count(100.0)
    assert math.isnan(rate.mean(100.9))
    assert rate.mean(101.0) == rate.worst(101.0) == 1.0


def test_a_steady_rate():
    rate = counted([1000.0 + k / 25 for k in range(250)])
    assert rate.mean(1010.0) == pytest.approx(25.0, abs=0.2)
    assert rate.worst(1010.0) in (24.0, 25.0)


def test_one_bad_second_shows_in_the_worst_and_hardly_in_the_mean():
    times = [k / 50 for k in range(500) if not 4.0 <= k / 50 < 4.8]
    rate = counted(times)
    assert rate.worst(10.0) == 10.0
    assert rate.mean(10.0) == pytest.approx(46.0)


def test_silence_is_a_rate_of_zero():
    rate = counted([k / 50 for k in range(500)])
    assert rate.worst(11.5) == 0.0
    assert rate.mean(1000.0) == 0.0
    rate.count(1000.5)
    assert rate.total == 501


def test_a_bad_second_is_forgotten_after_the_window():
    rate = counted([0.0, 2.0])
    assert rate.worst(3.0) == 0.0
    for k in range(1, 200):
        rate.count(2.0 + k / 10)
    assert rate.worst(22.0) >= 9.0


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200), st.floats(0.0, 3.0))
def test_the_mean_is_what_fell_into_the_window(gaps, wait):
    times = np.cumsum(gaps)
    rate, now = counted(list(times)), float(times[-1] + wait)
    over = int(now - times[0])
    first = max(0, over - 10)
    inside = [k for k in (int(moment - times[0]) for moment in times) if first <= k < over]
    if not over:
        assert math.isnan(rate.mean(now))
        return
    counts = [inside.count(second) for second in range(first, over)]
    assert rate.mean(now) == pytest.approx(np.mean(counts))
    assert rate.worst(now) == min(counts)


def test_summary_keys_carry_the_unit():
    rate, spread = counted([0.0, 0.5]), Spread()
    spread.add(0.002)
    assert rate.summary("camera", 1.0) == {"camera_hz": 2.0, "camera_hz_worst_second": 2.0}
    assert spread.summary("inference_ms", 1e3) == {
        "inference_ms_p50": 2.0, "inference_ms_p95": 2.0, "inference_ms_max": 2.0,
    }


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_spread_is_of_the_newest_values(values):
    spread = Spread(values=10)
    for value in values:
        spread.add(value)
    kept = values[-10:]
    assert spread.max == max(kept)
    assert spread.p50 == pytest.approx(np.median(kept))
    assert spread.p50 <= spread.p95 <= spread.max
    assert spread.quantile(0.0) == min(kept)


def test_an_empty_spread_is_unknown():
    assert all(math.isnan(value) for value in Spread().summary("x").values())
