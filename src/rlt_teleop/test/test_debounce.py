"""One press per clean press; chatter, held buttons and both labels at once do not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_teleop.debounce import Buttons, Press

DEBOUNCE = 0.05
STEP = 0.01
STEADY = 8
"""Samples that are more than enough to count."""
SHORT = 4
"""Samples that are too few to count."""


def presses(samples, buttons=None, start=0.0):
    """The presses in samples, each the set of buttons that are down, taken every 10 ms."""
    buttons = buttons or Buttons(DEBOUNCE)
    found = []
    for index, down in enumerate(samples):
        state = {name: name in down for name in ("success", "failure", "abort")}
        found += buttons.update(state, start + index * STEP)
    return found


def counted(found):
    return [press.function for press in found if not press.rejection]


def held(*names, samples=STEADY):
    return [set(names)] * samples


lengths = st.integers(STEADY, 4 * STEADY)
short = st.integers(1, SHORT)


@given(st.lists(st.tuples(lengths, lengths), max_size=6), lengths)
def test_every_clean_press_counts_exactly_once(pattern, first):
    samples = held(samples=first)
    for down, up in pattern:
        samples += held("success", samples=down) + held(samples=up)
    assert presses(samples) == [Press("success")] * len(pattern)


@given(st.lists(st.tuples(short, short), max_size=20), st.sampled_from(["success", "failure"]))
def test_chatter_never_labels(pattern, name):
    samples = held()
    for down, up in pattern:
        samples += held(name, samples=down) + held(samples=up)
    found = presses(samples + held())
    assert [press.function for press in found] == [name] * bool(pattern)
    assert all("too short" in press.rejection for press in found)


@given(st.lists(st.tuples(short, short), max_size=10), lengths)
def test_chatter_around_a_press_adds_none(pattern, down):
    samples = held()
    for high, low in pattern:
        samples += held("success", samples=high) + held(samples=low)
    samples += held("success", samples=down)
    for high, low in pattern:
        samples += held(samples=low) + held("success", samples=high)
    samples += held()
    assert presses(samples) == [Press("success")]


@given(st.integers(1, 100), st.lists(st.tuples(short, short), max_size=5))
def test_a_button_that_is_down_at_first_never_counts_before_it_was_up(down, pattern):
    samples = held("success", samples=down)
    for low, high in pattern:
        samples += held(samples=low) + held("success", samples=high)
    assert counted(presses(samples)) == []


def test_a_button_that_is_down_at_first_is_told_once_and_counts_after_its_release():
    first, second = presses(held("success", samples=100) + held() + held("success"))
    assert "was down when the device appeared" in first.rejection
    assert second == Press("success")


def test_a_button_that_is_down_after_the_device_was_away_counts_for_nothing():
    buttons = Buttons(DEBOUNCE)
    assert presses(held() + held("success"), buttons) == [Press("success")]
    buttons.reset()
    assert counted(presses(held("success"), buttons, start=10.0)) == []
    assert presses(held() + held("success"), buttons, start=11.0) == [Press("success")]


@given(st.integers(0, SHORT), lengths, lengths, st.booleans())
def test_both_labels_together_are_neither(lead, both, tail, success_first):
    """In whatever order the buttons go down within the debounce time, and up again."""
    first, second = ("success", "failure") if success_first else ("failure", "success")
    samples = held() + held(first, samples=lead) + held(first, second, samples=both)
    samples += held(second, samples=tail)
    found = presses(samples)
    assert len(found) == 1
    assert found[0].rejection


def test_after_both_labels_each_works_again_once_both_are_up():
    buttons = Buttons(DEBOUNCE)
    presses(held() + held("success", "failure") + held("failure"), buttons)
    assert presses(held() + held("failure"), buttons, start=1.0) == [Press("failure")]


@given(lengths, lengths, lengths, st.booleans(), st.booleans())
def test_a_label_that_counted_before_the_other_came_down_stays_counted(
    lead, both, tail, success_first, first_stays
):
    """The answer names the label that counted, whichever is released first; it can be corrected."""
    first, second = ("success", "failure") if success_first else ("failure", "success")
    samples = held() + held(first, samples=lead) + held(first, second, samples=both)
    samples += held(first if first_stays else second, samples=tail)
    counts, refused, correction = presses(samples + held() + held(second))
    assert counts == Press(first)
    assert refused.function == second
    assert f"{first} came first and was applied" in refused.rejection
    assert f"press {second} alone" in refused.rejection
    assert correction == Press(second)


def test_a_label_that_has_been_released_is_not_remembered():
    samples = held() + held("success") + held() + held("success", "failure")
    _, refused = presses(samples)
    assert "down together" in refused.rejection
    buttons = Buttons(DEBOUNCE)
    presses(held() + held("success"), buttons)
    buttons.reset()
    (refused,) = presses(held() + held("success", "failure"), buttons, start=10.0)
    assert "down together" in refused.rejection


@pytest.mark.parametrize("label", ["success", "failure"])
def test_other_buttons_do_not_disturb_a_label(label):
    found = presses(held() + held("abort") + held("abort", label))
    assert found == [Press("abort"), Press(label)]
