"""A driver must prove that it stops when it receives nothing, before anything else moves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from axis_columns import AxisColumns

from rlt_policy.outputs.stop_proof import StopProof

DT = 0.02
TIMEOUT = 0.1
TWIST = [0.01, 0.0]
COLUMNS = AxisColumns([-0.1, -0.5], [0.1, 0.5], [0.05, 0.8], [5.0, 80.0], [0.01, 0.1])
LIMITS = COLUMNS.by_axis(("x", "yaw"))


class Driver:
    """A robot that follows twists, and goes on for `goes_on` seconds after the last."""

    def __init__(self, goes_on=TIMEOUT, follows=1.0, start=0.0):
        self.goes_on, self.follows = goes_on, follows
        self.position = np.array([start, 0.0])
        self.heard, self.twist = -np.inf, np.zeros(2)
        self.sent = []

    def run(self, proof, seconds=3.0):
        for now in np.arange(0.0, seconds, DT):
            twist = proof.command(now)
            if twist is not None:
                self.heard, self.twist = now, twist
                self.sent.append((now, twist.copy()))
            if now - self.heard < self.goes_on:
                self.position = self.position + self.follows * self.twist * DT
            proof.measure(self.position.copy(), "", now)
            if proof.failure or proof.passed:
                break
        return proof


def make_proof(twist=TWIST, timeout=TIMEOUT, limits=LIMITS):
    return StopProof(twist, timeout, 0.3, limits)


@pytest.mark.parametrize("goes_on", [0.04, 0.1])
def test_a_driver_that_stops_in_time_passes(goes_on):
    driver = Driver(goes_on)
    proof = driver.run(make_proof())
    assert proof.passed and not proof.failure
    moving = [now for now, twist in driver.sent if twist.any()]
    assert moving[0] >= 0.28, "the robot rests first"
    assert moving[-1] - moving[0] < 0.3
    assert driver.sent[-1][0] == moving[-1], "silence, not zeros, is what is tested"
    assert np.abs(driver.position).max() < 0.01 * 0.45


@pytest.mark.parametrize("goes_on", [0.3, np.inf])
def test_a_driver_that_goes_on_fails_and_is_sent_zero(goes_on):
    driver = Driver(goes_on)
    proof = driver.run(make_proof())
    assert not proof.passed
    assert "does not stop by itself" in proof.failure and "0.1 s" in proof.failure
    assert not driver.sent[-1][1].any() and len(driver.sent) > 15 + 5
    assert np.abs(driver.position).max() < 0.01 * (0.3 + TIMEOUT + 0.6)


def test_a_robot_that_does_not_move_proves_nothing():
    proof = Driver(follows=0.1).run(make_proof())
    assert not proof.passed and "covered only" in proof.failure and "`twist`" in proof.failure


def test_without_room_nothing_moves():
    driver = Driver(start=0.095)
    proof = driver.run(make_proof())
    assert "leaves the workspace" in proof.failure and not driver.sent


def test_a_joint_near_its_limit_breaks_it_off():
    proof, driver = make_proof(), Driver()
    driver.run(proof, 0.4)
    proof.measure(driver.position, "joint lift is at 3.1 rad", 0.41)
    assert not proof.command(0.42).any()
    proof.command(0.7)
    assert "aborted: joint lift" in proof.failure


def test_a_robot_that_moves_anyway_is_waited_for():
    proof = make_proof()
    for now in np.arange(0.0, 2.0, DT):
        assert proof.command(now) is None and not proof.failure
        proof.measure(np.array([0.02 * now, 0.0]), "", now)


@pytest.mark.parametrize(
    ("speed", "fault", "words"),
    [(0.02, "", "does not rest"), (0.0, "joint lift is at 3.1 rad", "joint lift is at 3.1 rad")],
)
def test_it_is_not_waited_for_ever(speed, fault, words):
    proof = make_proof()
    for now in (*np.arange(0.0, 5.0, DT), 5.1):
        assert not proof.failure and proof.command(now) is None
        proof.measure(np.array([speed * now, 0.0]), fault, now)
    assert "within 5 s" in proof.failure and words in proof.failure


@pytest.mark.parametrize(("until", "silent_until"), [(0.4, 0.5), (0.66, 5.7)])
def test_a_robot_that_is_not_heard_breaks_it_off(until, silent_until):
    proof, driver = make_proof(), Driver()
    driver.run(proof, until)
    moving = proof.command(until + 0.05)
    assert (moving is not None) == (until < 0.6) and not proof.failure
    assert not proof.command(silent_until).any()
    proof.command(silent_until + 0.3)
    assert "aborted: no robot state" in proof.failure


def test_speed_is_built_up_within_the_acceleration_limit():
    driver = Driver(follows=0.53)  # just enough of the way, of which the ramp takes a part
    limits = dataclasses.replace(COLUMNS, acceleration=[0.1, 80.0]).by_axis(LIMITS)
    assert driver.run(make_proof(limits=limits)).passed
    speeds = [0.0, *(twist[0] for _, twist in driver.sent)]
    assert np.diff(speeds).max() <= 0.1 * DT * (1 + 1e-9)
    assert speeds[-1] == TWIST[0]


def test_a_speed_that_is_reached_too_late_is_refused():
    with pytest.raises(ValueError, match="slower proof_twist"):
        make_proof(
            limits=dataclasses.replace(COLUMNS, acceleration=[0.05, 80.0]).by_axis(LIMITS)
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timeout": 0.0}, "driver_stop_timeout_s is 0:"),
        ({"timeout": 0.5}, "driver_stop_timeout_s is 0.5:"),
        ({"twist": []}, "proof_twist is"),
        ({"twist": [0.0, 0.0]}, "not all zero"),
        ({"twist": [0.06, 0.0]}, "within the velocity limits"),
        ({"twist": [np.nan, 0.0]}, "proof_twist"),
    ],
)
def test_what_cannot_be_proved_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make_proof(**changes)
