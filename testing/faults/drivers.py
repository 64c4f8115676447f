"""Faults 46 to 49 and 54: what drivers report, and whether they receive commands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from robot_files import robot_like_sim
from sensor_msgs.msg import JointState

from rlt_core.records import Source
from rlt_core.robot.robot_file import read_robot
from rlt_interfaces.msg import Observation
from rlt_node import qos

from .bench import POLICY, Bench, Limits
from .chunks import CHUNK, TICK_S, quoted
from .rows import Make, row
from .sensors import MAX_AGE_S, latched

LOOK_S = 0.5  # the controller looks at the graph twice a second
STILL_S = 3.0
GRIPPER_S = 0.005  # between two messages of the gripper's driver


def not_answered(
    make: Make, tampering: Callable[[PoseStamped], PoseStamped], *words: str
) -> str:
    """A pose that must not be answered: before an episode nothing is sent, in one it must hold."""
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    bench.end_episode()
    bench.pass_ticks(5)
    bench.arm.tampering["tcp_pose"] = tampering
    bench.begin()
    bench.pass_ticks(2)
    began, sent = time.monotonic(), len(bench.arm.log)
    bench.pass_ticks(4 * CHUNK)
    refused = bench.said_once("chunk_controller", "tcp_pose", *words)
    assert len(bench.arm.log) == sent, "the robot was sent a command"
    assert {step.episode for step in bench.since(began)} == {0}, "a tick was recorded as executed"
    bench.end_episode()
    del bench.arm.tampering["tcp_pose"]
    bench.pass_ticks(5)
    bench.drive()
    hold = latched(bench, "tcp_pose", tampering)
    bench.said_once("chunk_controller", "tcp_pose", *words)
    bench.next_episode_drives()
    bench.judge()
    return (
        f"nothing sent in an episode that begins with it; in a running one, hold after "
        f"{hold.delay:.3f} s, latched; the next episode drove: {quoted(refused)}"
    )


@row(46, "the tool is tilted by 30 degrees, where every command points it down", "refused and "
     "latched: the tilt and the limit are named", "driver's report", ci=True)
def tilted_tool(make: Make) -> str:
    half = math.radians(15.0)

    def tilt(message: PoseStamped) -> PoseStamped:
        turn = message.pose.orientation  # of a tool that points down at yaw 0: x = 1
        turn.x, turn.y, turn.z, turn.w = math.cos(half), 0.0, 0.0, math.sin(half)
        return message

    return not_answered(make, tilt, "0.524 rad (30 degrees)", "tilt_max is 0.1")


@row(47, "the driver's pose is in another frame, with the same numbers", "refused and latched: "
     "both frames are named", "driver's report")
def another_frame(make: Make) -> str:
    def base(message: PoseStamped) -> PoseStamped:
        message.header.frame_id = "base"
        return message

    return not_answered(make, base, "'base'", "'base_link'")


@row(48, "nothing subscribes to the command topic, from the start and from mid-episode on; a robot "
     "subscribes and stands still", "no episode begins, hold; topic and remedy are named, also in "
     "the diagnostics; nothing is recorded as executed; a robot that stands still is found in 2 s",
     "driver's report", ci=True)
def nobody_hears(make: Make) -> str:
    bench = make()
    bench.arm.deafen()
    reports = bench.heard(DiagnosticArray, "/diagnostics", qos.DEVICE)
    bench.start("chunk_controller")
    bench.begin()
    bench.pass_ticks(6 * CHUNK)
    bench.said_once("chunk_controller", "no driver receives /rlt/target_pose", "remap the topic")
    assert {(step.episode, step.source) for step in bench.steps} == {(0, Source.HOLD)}
    bench.wait(lambda: _unheard(reports), "a report of it in the diagnostics")
    bench.arm.hear()
    came = time.monotonic()
    bench.resumes(came)
    bench.steady()
    bench.quiet()
    bench.forgive()
    bench.mark()
    fault = time.monotonic()
    bench.arm.deafen()
    hold = bench.held(fault, 2 * TICK_S, ticks=4 * CHUNK)
    bench.no_policy(hold.at)
    late = [step.tick for step in bench.since(fault) if step.source in POLICY]
    bench.arm.hear()
    back = time.monotonic()
    bench.resumes(back)
    bench.steady()
    line = bench.said_once("chunk_controller", "no driver receives /rlt/target_pose")
    bench.end_episode()
    bench.pass_ticks(5)
    bench.mark()
    bench.arm.stuck = True
    began = time.monotonic()
    bench.begin()
    bench.resumes(began)
    driven = next(step.at for step in bench.since(began) if step.source in POLICY)
    bench.wait(bench.errors, "a line", STILL_S)
    bench.said_once("chunk_controller", "has not moved", "driver is enabled")
    bench.pass_ticks(CHUNK)
    still = next(step.at for step in bench.since(driven) if step.source is Source.HOLD)
    bench.no_policy(still)
    bench.arm.stuck = False
    freed = time.monotonic()
    bench.resumes(freed)
    bench.steady()
    bench.judge()
    return (
        f"no tick of an episode before the driver came; hold {hold.delay:.3f} s after it had left, "
        f"after {len(late)} ticks of the policy: {quoted(line)}; a robot that stood still was held "
        f"{still - driven:.1f} s after the policy's first tick"
    )


def _unheard(reports: list[DiagnosticArray]) -> bool:
    """Whether the controller has reported that nothing subscribes to its commands."""
    return any(
        status.level == DiagnosticStatus.ERROR and "no driver receives" in status.message
        for report in reports for status in report.status
    )


@row(49, "a gripper's driver beside the arm's on joint_states, and one joint of the arm that falls "
     "silent", "the gripper disturbs nothing; the silent joint is named, hold until it is back",
     "driver's report")
def drivers_share_a_topic(make: Make) -> str:
    bench = make()
    gripper = bench.node("gripper")
    publisher = gripper.create_publisher(JointState, "joint_states", qos.SENSOR)
    gripper.create_timer(
        GRIPPER_S, lambda: publisher.publish(JointState(name=["finger"], position=[0.04]))
    )
    bench.start("chunk_controller")
    bench.drive()
    bench.steady(10 * CHUNK)
    assert not bench.errors(), bench.errors()

    def without_elbow(message: JointState) -> JointState:
        place = message.name.index("elbow")
        kept = [number for number in range(len(message.name)) if number != place]
        message.position = [message.position[number] for number in kept]
        message.name = [message.name[number] for number in kept]
        return message

    fault = time.monotonic()
    bench.arm.tampering["joint_states"] = without_elbow
    hold = bench.held(fault, MAX_AGE_S, ticks=4 * CHUNK)
    bench.no_policy(hold.at)
    line = bench.said_once("chunk_controller", "elbow in joint_states")
    fixed = time.monotonic()
    del bench.arm.tampering["joint_states"]
    bench.resumes(fixed)
    bench.steady()
    bench.judge()
    return f"driven beside the gripper; hold after {hold.delay:.3f} s: {quoted(line)}"


@row(54, "the tool's yaw passes half a turn, where its measurement wraps around", "no jump, no "
     "hold: the motion is that of a continuous angle", "driver's report")
def yaw_passes_half_a_turn(make: Make) -> str:
    bench = make(observed=True)
    low, high, rate = 2.4, 3.9, 0.004

    def around_half_a_turn(robot: dict[str, Any]) -> None:
        robot["action"][0]["limits"]["yaw"] |= {"min": low, "max": high}

    file = robot_like_sim(bench.graph.folder, around_half_a_turn)
    bench.motion_limits = read_robot(file).limits
    bench.limits = Limits.of(bench.motion_limits, bench.contract.dt)
    bench.arm.place(0.5, 0.0, 0.06, 3.0)
    bench.policy.velocity = np.array([0.0, 0.0, 0.0, rate], np.float32)
    observations = bench.heard(Observation, "observation", qos.BARRIER)
    bench.start("observer")
    bench.start("chunk_controller", robot=str(file))
    bench.wait(lambda: observations, "the observer")
    bench.begin()
    bench.wait(lambda: bench.steps[-1].setpoint[3] > math.pi + 0.3, "the way through half a turn")
    way = _driven(bench)
    turned = np.array([step.setpoint[3] for step in way])
    np.testing.assert_allclose(np.diff(turned), rate, atol=1e-6)
    assert way[0].setpoint[3] < math.pi
    assert not bench.errors(), bench.errors()
    bench.judge()
    return (
        f"from {turned[0]:.2f} to {turned[-1]:.2f} rad in {len(way)} ticks of {rate:g} rad, "
        "without a step at half a turn; no hold"
    )


def _driven(bench: Bench) -> list[Any]:
    """The steps of the policy at its full rate; checks that none between them was held."""
    acting = [number for number, step in enumerate(bench.steps) if step.source in POLICY]
    way = bench.steps[acting[0] + 2 : acting[-1]]
    held = [step.tick for step in way if step.source not in POLICY]
    assert not held, f"held at ticks {held}"
    return way
