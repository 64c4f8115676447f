"""A fault is counted every time, logged when it begins, and over when work went on without it."""

from __future__ import annotations

from rlt_policy.input_faults import Fault, Faults

AGE = Fault("age", "wrist/image_raw", "wrist/image_raw is old: check it")
SKEW = Fault("skew", "wrist/image_raw", "wrist/image_raw lags: check it")


def test_a_lasting_fault_is_said_once_and_counted_always():
    faults = Faults()
    assert [faults.note(AGE, 0.04 * k) for k in range(1000)] == [True] + [False] * 999
    assert faults.counts["age"] == 1000


def test_another_fault_of_the_same_source_is_said():
    faults = Faults()
    assert faults.note(AGE, 0.0) and faults.note(SKEW, 0.1) and not faults.note(AGE, 0.2)


def test_a_fault_is_over_after_a_second_of_work_and_may_begin_again():
    faults = Faults()
    faults.note(AGE, 0.0)
    assert faults.work(0.5) == []
    assert faults.work(1.1) == ["wrist/image_raw"]
    assert faults.work(1.2) == []
    assert faults.note(AGE, 2.0)


def test_a_fault_that_comes_and_goes_is_one():
    faults = Faults()
    said = 0
    for k in range(100):
        said += faults.note(AGE, 0.1 * k)
        assert faults.work(0.1 * k + 0.05) == []
    assert said == 1


def test_silence_does_not_end_a_fault():
    faults = Faults()
    assert faults.note(AGE, 0.0)
    assert not faults.note(AGE, 100.0)


def test_before_the_start_is_over_faults_are_counted_and_not_said():
    faults = Faults(since=5.0)
    assert not faults.note(AGE, 4.9)
    assert faults.counts["age"] == 1
    assert faults.note(AGE, 5.0)
