"""One line per fault."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from rlt_node.notices import Notices, Say


def test_a_fault_that_goes_on_is_said_once():
    notices = Notices(None, 2.0)
    said = [notices.hear("action_chunk", "late", 0.5 * number) for number in range(20)]
    assert said == [Say.ERROR] + [Say.NOTHING] * 19


def test_a_fault_that_was_gone_is_news_again():
    notices = Notices(None, 2.0)
    notices.hear("action_chunk", "late", 0.0)
    assert notices.hear("action_chunk", "late", 2.1) is Say.ERROR


def test_what_follows_from_a_fault_is_a_warning():
    notices = Notices(None, 2.0)
    assert notices.hear("action_chunk", "scale", 0.0) is Say.ERROR
    assert notices.hear("action_chunk", "trip", 0.5) is Say.WARNING
    assert notices.hear("robot", "stale", 0.5) is Say.ERROR
    assert notices.hear("action_chunk", "trip", 1.0) is Say.NOTHING


def test_a_fault_that_outlives_the_first_is_an_error_after_all():
    notices = Notices(None, 2.0)
    assert notices.hear("action_chunk", "late", 0.0) is Say.ERROR
    said = [notices.hear("action_chunk", "silent", 0.5 * number) for number in range(1, 12)]
    assert said == [Say.WARNING] + [Say.NOTHING] * 3 + [Say.ERROR] + [Say.NOTHING] * 6


def test_a_consequence_never_is_an_error():
    notices = Notices(None, 2.0)
    notices.hear("action_chunk", "scale", 0.0)
    said = [
        notices.hear("action_chunk", "trip", 0.5 * number, consequence=True) for number in range(9)
    ]
    assert said == [Say.WARNING] + [Say.NOTHING] * 8


def test_two_threads_that_notice_one_fault_say_it_once():
    both = threading.Barrier(2)

    class Slow(dict):
        def get(self, key):
            value = super().get(key)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)  # both are here at a time, if nothing keeps one out
            return value

    notices = Notices(None)
    notices._first = Slow()
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: notices.hear("robot", "stale", 1.0), range(2)))
    assert sorted(say.value for say in said) == ["error", "nothing"]


def test_what_is_news_is_logged_as_loud_as_it_is():
    said = []

    class Logger:
        error = staticmethod(lambda sentence: said.append(("error", sentence)))
        warning = staticmethod(lambda sentence: said.append(("warning", sentence)))

    notices = Notices(Logger)
    for code in ("scale", "scale", "trip", "trip"):
        notices.tell("action_chunk", code, f"{code}!", 1.0)
    assert said == [("error", "scale!"), ("warning", "trip!")]
