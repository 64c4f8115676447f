"""Which messages make an observation in real time, and which of them a broken driver sent."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_core.contract import Contract
from rlt_node.fault_log import Fault
from rlt_policy.observer.frozen_camera import FrozenCamera
from rlt_policy.observer.source_history import Sample
from rlt_policy.observer.source_pairing import ObserverSettings, Sources

CONTRACT = Contract.load(
    Path(__file__).resolve().parents[3] / "models" / "ethernet" / "contract.json"
)
STILL, MOVED = np.zeros(3), np.array([0.0, 0.0, 0.0011])
CAMERA, SCENE, POSE, WRENCH = "wrist/image_raw", "scene/image_raw", "tcp_pose", "tcp_wrench"
EPOCH = 1e9  # of the drivers' clocks, s: they have nothing to do with the monotonic one


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
    assert camera.see(image(1), STILL)  # the robot came back: that does not fix a camera
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
    sources.keep(source, Sample(message, EPOCH + now if stamp is None else stamp, now), position)


def fault_of(sources: Sources, now: float) -> Fault:
    moment = sources.moment(now)
    assert isinstance(moment, Fault), moment
    return moment


def test_a_source_that_never_came_is_named():
    sources = Sources((CAMERA, POSE), (CAMERA,), ObserverSettings())
    keep(sources, CAMERA, 10.0)
    fault = fault_of(sources, 10.0)
    assert (fault.code, fault.source) == ("missing", POSE)
    assert "nothing received from tcp_pose" in fault.message


def test_everything_fresh_makes_a_moment():
    sources = settled()
    moment = sources.moment(10.09)
    assert moment.age == pytest.approx(0.09) and set(moment.samples) == {CAMERA, POSE}
    assert sources.ages(10.09)[POSE] == pytest.approx(0.09)


def test_an_old_source_is_named():
    sources = settled()
    keep(sources, POSE, 10.2)
    fault = fault_of(sources, 10.21)
    assert (fault.code, fault.source) == ("age", CAMERA)
    assert "wrist/image_raw is 0.21 s old" in fault.message
    assert "check its driver and cable" in fault.message


def test_sources_that_fall_silent_together_are_old_though_they_do_not_lag():
    fault = fault_of(settled(), 10.11)
    assert (fault.code, fault.source) == ("age", CAMERA)


def test_ages_go_by_receipt_and_never_by_stamps():
    sources = settled()
    for source in (CAMERA, POSE):
        keep(sources, source, 10.05, stamp=10.05 + 3600.0)
    assert sources.moment(10.1).age == pytest.approx(0.05)


def test_a_silent_source_is_old_and_does_not_lag():
    """One cause, one name: nothing arrives, so its last message falls ever further behind."""
    sources = settled()
    codes = []
    for k in range(1, 11):
        keep(sources, POSE, 10.0 + 0.02 * k)
        fault = sources.moment(10.001 + 0.02 * k)
        codes.append((fault.code, fault.source) if isinstance(fault, Fault) else None)
    assert codes == 4 * [None] + 6 * [("age", CAMERA)]


def test_a_frozen_camera_is_named_until_its_image_changes():
    sources = settled(frozen_frames=3)
    for k in range(1, 4):
        keep(sources, POSE, 10.0 + 0.04 * k)
        keep(sources, CAMERA, 10.0 + 0.04 * k)
    fault = fault_of(sources, 10.12)
    assert (fault.code, fault.source) == ("frozen", CAMERA)
    keep(sources, CAMERA, 10.16, value=2)
    assert not isinstance(sources.moment(10.17), Fault)


# ---- A desk in simulated time


@dataclass
class Driver:
    """A source: how often it measures, how late and how unevenly it sends, s; and its clock."""

    period: float
    latency: float = 0.0
    jitter: float = 0.0
    phase: float = 0.0
    stamp: Callable[[float], float] = field(default=lambda taken: EPOCH + taken)


ROBOT = Driver(0.01, phase=0.003)


@dataclass
class Seen:
    """The results of the observations that were due."""

    sources: Sources
    results: list

    @property
    def share(self) -> float:
        return np.mean([not isinstance(result, Fault) for result in self.results])

    @property
    def faults(self) -> list[Fault]:
        return [result for result in self.results if isinstance(result, Fault)]


def desk(
    drivers: dict[str, Driver], due: float = 0.04, seconds: float = 10.0, seed: int = 0,
    **limits: float,
) -> Seen:
    """Let drivers send for some seconds, and ask for an observation every `due` seconds."""
    rng = np.random.default_rng(seed)
    cameras = [name for name in drivers if name.endswith("image_raw")]
    sources = Sources(drivers, cameras, ObserverSettings(**limits))
    events = [(1.007 + k * due, "", 0.0) for k in range(int((seconds - 1.0) / due))]
    for name, driver in drivers.items():
        for taken in np.arange(driver.phase, seconds, driver.period):
            late = driver.latency + driver.jitter * rng.uniform()
            events.append((taken + late, name, float(taken)))
    results = []
    for now, name, taken in sorted(events):
        if not name:
            results.append(sources.moment(now))
            continue
        message = SimpleNamespace(taken=taken, data=rng.bytes(8))
        sources.keep(name, Sample(message, drivers[name].stamp(taken), now), np.full(3, taken))
    return Seen(sources, results)


@pytest.mark.parametrize("latency", [0.0, 0.03, 0.06])
@pytest.mark.parametrize(
    ("period", "due", "jitter"),
    [(1 / 30, 0.04, 0.0), (1 / 30, 0.04, 0.02), (1 / 15, 0.1, 0.0), (1 / 60, 0.04, 0.005)],
)
def test_slow_and_late_cameras_make_all_observations(period, due, jitter, latency):
    cameras = {
        CAMERA: Driver(period, latency, jitter),
        SCENE: Driver(period, latency, jitter, phase=0.4 * period),
    }
    seen = desk(cameras | {POSE: ROBOT, WRENCH: ROBOT}, due)
    assert seen.share >= 0.95, seen.faults[:3]
    for moment in seen.results:
        if isinstance(moment, Fault):
            continue
        taken = {name: sample.message.taken for name, sample in moment.samples.items()}
        apart = [abs(taken[POSE] - taken[camera]) for camera in cameras]
        assert min(apart) <= 0.006  # half of the pose's period: one image is of the moment itself
        assert abs(taken[CAMERA] - taken[SCENE]) <= 0.5 * period + 1e-6
        assert latency - 1e-6 <= moment.age <= latency + period + jitter + 0.001
        assert moment.skew <= 0.5 * period + 1e-6


@settings(deadline=None, max_examples=50)
@given(
    st.floats(0.01, 0.066), st.floats(0.01, 0.066), st.floats(0.0, 0.06), st.floats(0.0, 0.06),
    st.floats(0.002, 0.04), st.floats(0.0, 0.04), st.integers(0, 2**32 - 1),
)
def test_whatever_the_rates_and_latencies_what_is_taken_was_measured_together(
    first, second, late, later, state, state_late, seed
):
    cameras = {CAMERA: Driver(first, late), SCENE: Driver(second, later, phase=0.5 * second)}
    seen = desk(cameras | {POSE: Driver(state, state_late)}, seconds=3.0, seed=seed)
    assert seen.share >= 0.95, seen.faults[:3]
    for moment in seen.results:
        taken = [sample.message.taken for sample in moment.samples.values()]
        assert max(taken) - min(taken) <= 0.1  # max_skew_s to either side of the moment


@pytest.mark.parametrize(
    ("drivers", "code", "source", "words"),
    [
        ({CAMERA: Driver(1 / 30, 0.15)}, "latency", CAMERA,
         ["s behind tcp_pose, more than max_latency_s 0.1", "set max_latency_s to 0.1"]),
        ({CAMERA: Driver(1 / 30, stamp=lambda taken: EPOCH + taken + 7.0)}, "latency", CAMERA,
         ["7.0", "s ahead of tcp_pose", "synchronise their clocks"]),
        ({CAMERA: Driver(1 / 30, stamp=lambda taken: EPOCH + taken - 7.0)}, "latency", CAMERA,
         ["7.0", "s behind tcp_pose", "synchronise their clocks"]),
        ({CAMERA: Driver(1 / 30, stamp=lambda taken: EPOCH)}, "latency", CAMERA,
         ["its stamp does not change between messages"]),
        ({POSE: Driver(0.01, 0.3), WRENCH: ROBOT, CAMERA: Driver(1 / 30)}, "latency", POSE,
         ["tcp_pose is 0.3", "s behind tcp_wrench"]),
        ({CAMERA: Driver(0.13, jitter=0.02)}, "age", CAMERA,
         ["it arrives only every 0.1", "set max_age_s to 0.1"]),
        ({SCENE: Driver(1 / 15, phase=1 / 60)}, "skew", CAMERA,
         ["of wrist/image_raw was measured within max_skew_s 0.01", "set max_skew_s to 0.0"]),
    ],
)
def test_what_no_setting_allows_is_named_with_the_number_that_would(drivers, code, source, words):
    limits = {"max_skew_s": 0.01} if code == "skew" else {}
    seen = desk({CAMERA: Driver(1 / 30), POSE: ROBOT, WRENCH: ROBOT} | drivers, **limits)
    assert seen.share < 0.95
    last = seen.faults[-1]
    assert (last.code, last.source) == (code, source), last
    assert all(word in last.message for word in words), last.message


@pytest.mark.parametrize(
    ("source", "driver", "setting", "others"),
    [
        (CAMERA, Driver(1 / 30, 0.15), "max_latency_s", {}),
        (CAMERA, Driver(1 / 30, 0.3, 0.05), "max_latency_s", {}),
        (CAMERA, Driver(0.13, jitter=0.02), "max_age_s", {}),
        (CAMERA, Driver(0.3), "max_age_s", {}),
        (SCENE, Driver(1 / 15, phase=1 / 60), "max_skew_s", {"max_skew_s": 0.01}),
        (WRENCH, Driver(0.09), "max_skew_s", {"max_skew_s": 0.01}),
    ],
)
def test_the_number_that_is_named_works(source, driver, setting, others):
    drivers = {CAMERA: Driver(1 / 30), POSE: ROBOT, WRENCH: ROBOT} | {source: driver}
    message = desk(drivers, **others).faults[-1].message
    number = float(re.search(rf"set {setting} to (\d+\.\d+)", message)[1])
    seen = desk(drivers, **others | {setting: number})
    assert seen.share >= 0.95, seen.faults[:3]


def test_a_lag_that_is_not_the_rule_names_no_number():
    seen = desk({CAMERA: Driver(1 / 30), POSE: ROBOT}, seconds=3.0)
    keep(seen.sources, CAMERA, 3.0, stamp=EPOCH + 2.7)
    keep(seen.sources, POSE, 3.0)
    fault = fault_of(seen.sources, 3.0)
    assert fault.code == "latency" and "set max_latency_s" not in fault.message


def test_two_cameras_that_are_late_do_not_outvote_the_robot():
    late = Driver(1 / 30, 0.15)
    fault = desk({CAMERA: late, SCENE: late, POSE: ROBOT}).faults[-1]
    assert fault.source in (CAMERA, SCENE) and "behind tcp_pose" in fault.message


def test_while_messages_come_that_could_not_be_taken_in_nothing_makes_a_moment():
    sources = settled()
    malformed = Fault("joints", "joint_states", "joint_states names elbow twice")
    sources.reject(malformed, 10.0)
    assert sources.moment(10.05) is malformed
    for source in (CAMERA, POSE):
        keep(sources, source, 10.1)
    assert not isinstance(sources.moment(10.11), Fault)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_costs_a_moment_at_most(jump):
    def stamp(taken: float) -> float:
        return EPOCH + taken + jump * (taken > 5.0)

    drivers = {
        CAMERA: Driver(1 / 30, 0.03, stamp=stamp), POSE: Driver(0.01, stamp=stamp),
        WRENCH: Driver(0.02, 0.001, stamp=stamp),
    }
    assert len(desk(drivers).faults) <= 2


def test_one_driver_that_sets_no_stamps_is_taken_by_receipt():
    drivers = {CAMERA: Driver(1 / 30, 0.03), POSE: ROBOT, WRENCH: ROBOT}
    for source in drivers:
        blind = Driver(**vars(drivers[source]) | {"stamp": lambda taken: 0.0})
        seen = desk(drivers | {source: blind})
        assert not seen.faults
        (remark,) = seen.sources.remarks(CONTRACT)
        assert f"{source} carries no stamps" in remark
        assert seen.sources.remarks(CONTRACT) == []  # logged once


def test_without_any_stamps_receipts_are_all_there_is():
    blind = {"stamp": lambda taken: 0.0}
    seen = desk({CAMERA: Driver(1 / 30, 0.03, **blind), POSE: Driver(0.01, **blind)})
    assert not seen.faults and seen.sources.latencies() == {}


def test_a_camera_too_slow_for_the_stride_is_told_the_stride_that_fits():
    seen = desk({CAMERA: Driver(1 / 15), SCENE: Driver(1 / 30), POSE: ROBOT})
    (remark,) = seen.sources.remarks(CONTRACT)
    assert "wrist/image_raw arrives every 0.067 s, but an observation is due every 0.04 s" in remark
    assert "to 25 Hz or more, or give the model's contract stride 5" in remark
    assert seen.sources.remarks(CONTRACT) == []
    assert desk({CAMERA: Driver(1 / 25), POSE: ROBOT}).sources.remarks(CONTRACT) == []


def test_memory_is_bounded_whatever_the_rate():
    sources = desk({CAMERA: Driver(0.0005), POSE: Driver(0.0001)}, seconds=2.0).sources
    kept = {name: len(history._samples) for name, history in sources._histories.items()}
    assert kept == {CAMERA: 32, POSE: 1000}
    slow = desk({CAMERA: Driver(1 / 30), POSE: ROBOT}).sources
    assert len(slow._histories[CAMERA]._samples) <= 8  # a quarter of a second
