"""Which messages make an observation in real time, and which of them a broken driver sent."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_policy.sources import FrozenCamera, ObserverSettings, Sources

STILL, MOVED = np.zeros(3), np.array([0.0, 0.0, 0.0011])
CAMERA, POSE = "wrist/image_raw", "tcp_pose"


def image(value: int) -> array:
    return array("B", bytes([value] * 12))


def test_a_camera_that_repeats_its_image_while_the_robot_moves_is_frozen_after_ten():
    camera = FrozenCamera(10, 0.001)
    assert not camera.see(image(1), STILL)
    assert [camera.see(image(1), MOVED) for _ in range(9)] == [False] * 8 + [True]


def test_a_camera_is_well_again_once_its_image_changes():
    camera = FrozenCamera(2, 0.001)
    assert not camera.see(image(1), STILL)
    assert camera.see(image(1), MOVED)
    assert camera.see(image(1), STILL)  # the robot came back: that mends no camera
    assert not camera.see(image(2), MOVED)


def test_a_robot_at_rest_makes_no_camera_frozen():
    camera = FrozenCamera(10, 0.001)
    assert not any(camera.see(image(1), STILL) for _ in range(1000))
    assert not any(camera.see(image(1), None) for _ in range(100))
    assert camera.see(image(1), MOVED)  # frozen long since, and now it shows


def test_zero_frames_switch_the_watchdog_off():
    camera = FrozenCamera(0, 0.001)
    assert not any(camera.see(image(1), k * MOVED) for k in range(100))


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-0.01, 0.01)), max_size=60))
def test_only_identical_images_and_motion_make_a_camera_frozen(seen):
    camera = FrozenCamera(5, 0.002)
    for index, (value, place) in enumerate(seen):
        frozen = camera.see(image(value), np.array([place]))
        run = 0
        while run <= index and seen[index - run][0] == value:
            run += 1
        places = [place for _, place in seen[index - run + 1 : index + 1]]
        late = np.abs(np.array(places[4:]) - places[0]) > 0.002
        assert frozen == bool(late.any())


def settled(**changes) -> Sources:
    """All sources have sent something at time 10."""
    sources = Sources((CAMERA, POSE), (CAMERA,), ObserverSettings(**changes))
    keep(sources, CAMERA, 10.0)
    keep(sources, POSE, 10.0)
    return sources


def keep(sources: Sources, source: str, now: float, stamp: float | None = None, value: int = 1):
    message = SimpleNamespace(data=image(value))
    position = np.full(3, now)  # moves at 1 m/s
    sources.keep(source, message, now if stamp is None else stamp, now, position)


def test_a_source_that_never_came_is_named():
    sources = Sources((CAMERA, POSE), (CAMERA,), ObserverSettings())
    keep(sources, CAMERA, 10.0)
    fault = sources.fault(10.0)
    assert (fault.code, fault.source) == ("missing", POSE)
    assert "nothing has come on tcp_pose" in fault.message


def test_everything_fresh_is_no_fault():
    sources = settled()
    assert sources.fault(10.09) is None
    assert sources.ages(10.09)[POSE] == pytest.approx(0.09)


def test_an_old_source_is_named():
    sources = settled()
    keep(sources, POSE, 10.2)
    fault = sources.fault(10.21)
    assert (fault.code, fault.source) == ("age", CAMERA)
    assert "wrist/image_raw is 0.21 s old" in fault.message


def test_sources_that_fall_silent_together_are_old_though_they_do_not_lag():
    fault = settled().fault(10.11)
    assert (fault.code, fault.source) == ("age", CAMERA)


def test_ages_go_by_receipt_and_never_by_stamps():
    sources = settled()
    for source in (CAMERA, POSE):
        keep(sources, source, 10.05, stamp=10.05 + 3600.0)
    assert sources.fault(10.1) is None


@pytest.mark.parametrize(("late", "first"), [(CAMERA, CAMERA), (POSE, POSE)])
def test_a_source_that_lags_behind_the_others_is_named(late, first):
    sources = settled()
    for source in (CAMERA, POSE):
        keep(sources, source, 10.05, stamp=10.05 - 0.3 * (source == late))
    fault = sources.fault(10.06)
    assert (fault.code, fault.source) == ("skew", first)
    assert f"{first} is 0.300 s behind" in fault.message


def test_a_silent_source_is_old_before_it_lags_too_far():
    """One cause, one name: its stamp falls behind the others' because nothing comes."""
    sources = settled()
    codes = []
    for k in range(1, 11):
        keep(sources, POSE, 10.0 + 0.02 * k)
        fault = sources.fault(10.0 + 0.02 * k)
        codes.append((fault.code, fault.source) if fault else None)
    assert codes == [None, None] + 8 * [("age", CAMERA)]


def test_a_frozen_camera_is_named_until_its_image_changes():
    sources = settled(frozen_frames=3)
    for k in range(1, 4):
        keep(sources, POSE, 10.0 + 0.04 * k)
        keep(sources, CAMERA, 10.0 + 0.04 * k)
    fault = sources.fault(10.12)
    assert (fault.code, fault.source) == ("frozen", CAMERA)
    keep(sources, CAMERA, 10.16, value=2)
    assert sources.fault(10.17) is None
