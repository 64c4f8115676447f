"""A device is its identity, not its place: another one never takes the place of the chosen one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_teleop.device_choice import Attached, Choice

PAD = Attached(0, 0, "Pad", "0300aa", "", True)
OTHER = Attached(0, 1, "Other", "0300bb", "", True)
TWIN = replace(PAD, instance=2)


def listed(*devices: Attached) -> list[Attached]:
    """Devices in this order, as SDL counts them."""
    return [replace(each, index=index) for index, each in enumerate(devices)]


def picked(choice: Choice, *devices: Attached) -> int | None:
    """Number of the device that is used while these are attached."""
    found = choice.pick(listed(*devices))
    assert found is None or found == listed(*devices)[found.index]
    return None if found is None else found.instance


@pytest.mark.parametrize(
    ("name", "position", "number"), [("", 0, 0), ("", 1, 1), ("Other", 0, 1), ("Pad", 1, 2)]
)
def test_the_first_time_the_parameters_choose(name, position, number):
    assert picked(Choice(name, position), PAD, OTHER, TWIN) == number


@pytest.mark.parametrize(
    ("name", "position", "devices", "said"),
    [
        ("", 0, [], "no game controller is attached: plug one in"),
        ("Third", 0, [PAD], "no controller is called 'Third'; attached: 0: Pad (0300aa)"),
        ("", 2, [PAD, OTHER], "there is no device 2; attached: 0: Pad (0300aa), 1: Other"),
        ("Pad", 1, [PAD, OTHER], "there is no device 1 called 'Pad'; attached: 0: Pad"),
        ("", 0, [replace(PAD, usable=False), OTHER], "SDL has no mapping for the device"),
    ],
)
def test_what_cannot_be_chosen_is_told(name, position, devices, said):
    choice = Choice(name, position)
    assert picked(choice, *devices) is None
    assert said in choice.missing(listed(*devices))


def test_a_device_that_shifts_in_the_list_stays_the_chosen_one():
    choice = Choice("", 1)
    assert picked(choice, OTHER, PAD) == PAD.instance
    assert picked(choice, PAD) == PAD.instance
    assert choice.used(listed(PAD, OTHER)) == (
        "game controller: Pad (0300aa); attached and not used: Other (0300bb)"
    )
    assert choice.used(listed(PAD)) == "game controller: Pad (0300aa)"


@pytest.mark.parametrize("other", [OTHER, TWIN, replace(PAD, instance=3, serial="B")])
def test_no_other_device_takes_the_place_of_one_that_is_gone(other):
    choice = Choice("", 0)
    assert picked(choice, PAD, other) == PAD.instance
    assert picked(choice, other) is None
    said = choice.missing(listed(other))
    assert said.startswith(f"Pad (0300aa) is gone; what is attached (0: {other}) is another one")
    assert "device_name or device_id" in said
    assert picked(choice, other, replace(PAD, instance=9)) == 9  # it is back
    assert picked(choice, replace(PAD, instance=9)) == 9


def test_a_device_of_the_wanted_name_is_another_one_too():
    choice = Choice("Pad", 0)
    assert picked(choice, replace(PAD, serial="A")) == PAD.instance
    assert picked(choice, replace(TWIN, serial="B")) is None
    assert picked(choice, replace(PAD, instance=5, serial="A")) == 5


def test_of_two_that_look_alike_and_were_both_away_neither_is_trusted():
    choice = Choice("", 0)
    picked(choice, PAD, TWIN)
    assert picked(choice) is None
    assert choice.missing([]) == "Pad (0300aa) is gone: attach it again, or switch it on"
    assert picked(choice, replace(PAD, instance=7)) is None
    said = choice.missing(listed(replace(PAD, instance=7)))
    assert "looks like it and has been away, too" in said
    assert picked(choice, replace(PAD, instance=7), replace(PAD, instance=8)) is None


def test_serial_numbers_tell_apart_what_looks_alike():
    choice = Choice("", 0)
    a, b = replace(PAD, serial="A"), replace(TWIN, serial="B")
    picked(choice, a, b)
    picked(choice)
    assert picked(choice, replace(b, instance=7)) is None
    assert picked(choice, replace(b, instance=7), replace(a, instance=8)) == 8


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from([0, 1, 2])), max_size=20))
def test_whatever_comes_and_goes_only_one_identity_is_ever_used(history):
    """Three pads with serial numbers; each gets a new number whenever it comes."""
    choice, numbers, before = Choice("", 0), {}, set()
    used = set()
    for step, present in enumerate(history):
        numbers |= {pad: 10 * step + pad for pad in present - before}
        before = present
        devices = [
            replace(PAD, instance=numbers[pad], serial=f"S{pad}") for pad in sorted(present)
        ]
        number = picked(choice, *devices)
        used |= {each.serial for each in devices if each.instance == number}
        assert (number is not None) == (bool(present) if not used else bool(
            {each.serial for each in devices} & used
        ))
    assert len(used) <= 1
