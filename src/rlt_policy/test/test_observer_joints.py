"""joint_states of several drivers, each of its own joints, make one observation."""

from __future__ import annotations

from contextlib import closing

import pytest
from observer_drivers import Camera, Drivers, Joints, changed_model

from rlt_policy.observer import observer_node

PROPRIO = {
    "names": ["elbow", "elbow.velocity", "finger", "x"], "units": ["rad", "rad/s", "m", "m"],
    "kind": "joints",
}
LATE = Camera(1 / 30, 0.03)
MAX_SKEW_S = 0.05


@pytest.fixture
def arm():
    return Joints(["elbow", "wrist"], 0.01, has_velocity=True)


@pytest.fixture
def gripper():
    return Joints(["finger"], 1 / 30)


@pytest.fixture
def drivers(arm, gripper, tmp_path, monkeypatch):
    monkeypatch.setattr(observer_node, "START_SECONDS", 0.5)
    model = changed_model(tmp_path, proprio=PROPRIO)
    door = Joints(["door"], 0.05)
    with closing(Drivers(model, {"wrist": LATE, "scene": LATE}, [arm, gripper, door])) as made:
        made.run_until(lambda: len(made.judged(2)) >= 25, "observations due")
        yield made


def errors(capfd) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if "[ERROR]" in line]


def test_joints_of_several_drivers_are_those_of_one_moment(drivers, capfd):
    came = drivers.judged(2)
    assert sum(came) >= 0.95 * len(came), drivers.observer._health()
    for observation in list(drivers.seen.values())[10:]:
        elbow, speed, finger, x = observation.proprio
        assert speed == 1.0
        assert max(elbow, finger, x) - min(elbow, finger, x) <= 2 * MAX_SKEW_S
    assert errors(capfd) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"silent": True}, "finger in joint_states is 0.1"),
        ({"lost": 1, "names": ["finger", "thumb"]}, "and has 1 positions"),
    ],
)
def test_a_joint_that_fails_is_named_once_and_taken_again(drivers, gripper, capfd, change, words):
    well = {name: getattr(gripper, name) for name in change}
    capfd.readouterr()
    for name, value in change.items():
        setattr(gripper, name, value)
    drivers.run_until(lambda: words in drivers.observer._fault, "the fault")
    count = len(drivers.sent)
    drivers.run_until(lambda: len(drivers.sent) > count + 50, "a second")
    newest = max(drivers.seen)
    for name, value in well.items():
        setattr(gripper, name, value)
    drivers.run_until(lambda: max(drivers.seen) > newest + 50, "observations again")
    assert len(errors(capfd)) == 1


def test_a_joint_that_no_driver_has_is_named(arm, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(observer_node, "START_SECONDS", 0.5)
    model = changed_model(tmp_path, proprio=PROPRIO)
    with closing(Drivers(model, {"wrist": LATE, "scene": LATE}, [arm])) as drivers:
        drivers.run_until(lambda: len(drivers.sent) > 100, "two seconds")
    (error,) = errors(capfd)
    assert "nothing received from finger in joint_states" in error
