"""One line per fault."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from rlt_node.fault_log import FaultLog, Severity


def test_a_fault_that_goes_on_is_said_once():
    fault_log = FaultLog(None, 2.0)
    said = [fault_log.note("action_chunk", "late", 0.5 * number) for number in range(20)]
    assert said == [Severity.ERROR] + [Severity.NOTHING] * 19


def test_a_fault_that_was_gone_is_news_again():
    fault_log = FaultLog(None, 2.0)
    fault_log.note("action_chunk", "late", 0.0)
    assert fault_log.note("action_chunk", "late", 2.1) is Severity.ERROR


def test_what_follows_from_a_fault_is_a_warning():
    fault_log = FaultLog(None, 2.0)
    assert fault_log.note("action_chunk", "scale", 0.0) is Severity.ERROR
    assert fault_log.note("action_chunk", "trip", 0.5) is Severity.WARNING
    assert fault_log.note("robot", "stale", 0.5) is Severity.ERROR
    assert fault_log.note("action_chunk", "trip", 1.0) is Severity.NOTHING


def test_a_fault_that_outlives_the_first_is_an_error_after_all():
    fault_log = FaultLog(None, 2.0)
    assert fault_log.note("action_chunk", "late", 0.0) is Severity.ERROR
    said = [fault_log.note("action_chunk", "silent", 0.5 * number) for number in range(1, 12)]
    assert said == [
        Severity.WARNING, *[Severity.NOTHING] * 3, Severity.ERROR, *[Severity.NOTHING] * 6
    ]


def test_a_consequence_never_is_an_error():
    fault_log = FaultLog(None, 2.0)
    fault_log.note("action_chunk", "scale", 0.0)
    said = [
        fault_log.note("action_chunk", "trip", 0.5 * number, consequence=True)
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
        said = list(pool.map(lambda _: fault_log.note("robot", "stale", 1.0), range(2)))
    assert sorted(say.value for say in said) == ["error", "nothing"]


def test_what_is_news_is_logged_as_loud_as_it_is():
    said = []

    class Logger:
        error = staticmethod(lambda sentence: said.append(("error", sentence)))
        warning = staticmethod(lambda sentence: said.append(("warning", sentence)))

    fault_log = FaultLog(Logger)
    for code in ("scale", "scale", "trip", "trip"):
        fault_log.report("action_chunk", code, f"{code}!", 1.0)
    assert said == [("error", "scale!"), ("warning", "trip!")]
