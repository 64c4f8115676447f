"""One line per fault, however often it is reported; every report is counted."""

from __future__ import annotations

import contextlib
import math
import threading
from concurrent.futures import ThreadPoolExecutor

from rlt_node.fault_log import Fault, FaultLog, Severity


def fault(source: str, code: str) -> Fault:
    return Fault(code, source, f"{source}: {code}")


def test_a_fault_that_goes_on_is_said_once():
    fault_log = FaultLog(None, 2.0)
    said = [fault_log.note(fault("action_chunk", "late"), 0.5 * number) for number in range(20)]
    assert said == [Severity.ERROR] + [Severity.NOTHING] * 19


def test_a_fault_that_was_gone_is_news_again():
    fault_log = FaultLog(None, 2.0)
    fault_log.note(fault("action_chunk", "late"), 0.0)
    assert fault_log.note(fault("action_chunk", "late"), 2.1) is Severity.ERROR


def test_what_follows_from_a_fault_is_a_warning():
    fault_log = FaultLog(None, 2.0)
    assert fault_log.note(fault("action_chunk", "scale"), 0.0) is Severity.ERROR
    assert fault_log.note(fault("action_chunk", "trip"), 0.5) is Severity.WARNING
    assert fault_log.note(fault("robot", "stale"), 0.5) is Severity.ERROR
    assert fault_log.note(fault("action_chunk", "trip"), 1.0) is Severity.NOTHING


def test_a_fault_that_outlives_the_first_is_an_error_after_all():
    fault_log = FaultLog(None, 2.0)
    late, silent = fault("action_chunk", "late"), fault("action_chunk", "silent")
    assert fault_log.note(late, 0.0) is Severity.ERROR
    said = [fault_log.note(silent, 0.5 * number) for number in range(1, 12)]
    assert said == [
        Severity.WARNING, *[Severity.NOTHING] * 3, Severity.ERROR, *[Severity.NOTHING] * 6
    ]


def test_a_consequence_never_is_an_error():
    fault_log = FaultLog(None, 2.0)
    fault_log.note(fault("action_chunk", "scale"), 0.0)
    said = [
        fault_log.note(fault("action_chunk", "trip"), 0.5 * number, consequence=True)
        for number in range(9)
    ]
    assert said == [Severity.WARNING] + [Severity.NOTHING] * 8


def test_two_threads_that_notice_one_fault_say_it_once():
    both = threading.Barrier(2)

    class Slow(dict):
        def get(self, key):
            value = super().get(key)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)  # both threads meet here if there is no lock
            return value

    fault_log = FaultLog(None)
    fault_log._first = Slow()
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: fault_log.note(fault("robot", "stale"), 1.0), range(2)))
    assert sorted(say.value for say in said) == ["error", "nothing"]


def test_what_is_news_is_logged_as_loud_as_it_is():
    said = []

    class Logger:
        error = staticmethod(lambda sentence: said.append(("error", sentence)))
        warning = staticmethod(lambda sentence: said.append(("warning", sentence)))

    fault_log = FaultLog(Logger)
    for code in ("scale", "scale", "trip", "trip"):
        fault_log.report(Fault(code, "action_chunk", f"{code}!"), 1.0)
    assert said == [("error", "scale!"), ("warning", "trip!")]


# ---- Faults that end only when work goes on ----------------------------------------------------


AGE, SKEW = fault("wrist/image_raw", "age"), fault("wrist/image_raw", "skew")


def test_every_report_is_counted():
    fault_log = FaultLog(None, math.inf)
    said = [fault_log.note(AGE, 0.04 * k) for k in range(1000)]
    assert said == [Severity.ERROR] + [Severity.NOTHING] * 999
    assert fault_log.counts["age"] == 1000


def test_a_fault_is_over_after_a_second_of_work_and_may_begin_again():
    fault_log = FaultLog(None, math.inf)
    fault_log.note(AGE, 0.0)
    assert fault_log.recovered(0.5) == []
    assert fault_log.recovered(1.1) == ["wrist/image_raw"]
    assert fault_log.recovered(1.2) == []
    assert fault_log.note(AGE, 2.0) is Severity.ERROR


def test_a_source_works_again_when_all_its_faults_are_over():
    fault_log = FaultLog(None, math.inf)
    fault_log.note(AGE, 0.0)
    assert fault_log.note(SKEW, 0.5) is Severity.WARNING
    assert fault_log.recovered(1.2) == []
    assert fault_log.note(SKEW, 1.3) is Severity.ERROR, "it outlived the first"
    assert fault_log.recovered(2.4) == ["wrist/image_raw"]


def test_a_fault_that_comes_and_goes_is_one():
    fault_log = FaultLog(None, math.inf)
    said = []
    for k in range(100):
        said.append(fault_log.note(AGE, 0.1 * k))
        assert fault_log.recovered(0.1 * k + 0.05) == []
    assert said == [Severity.ERROR] + [Severity.NOTHING] * 99


def test_silence_does_not_end_a_fault():
    fault_log = FaultLog(None, math.inf)
    fault_log.note(AGE, 0.0)
    assert fault_log.note(AGE, 100.0) is Severity.NOTHING


def test_before_the_start_is_over_faults_are_counted_and_not_said():
    fault_log = FaultLog(None, math.inf, since=5.0)
    assert fault_log.note(AGE, 4.9) is Severity.NOTHING
    assert fault_log.counts["age"] == 1
    assert fault_log.note(AGE, 5.0) is Severity.ERROR
