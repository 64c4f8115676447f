"""What a trajectory controller makes of the robot output's plans, if messages arrive unevenly.

Sender and controller count time differently; the sender knows the controller's clock only from the
joint states that it receives, which arrive unevenly too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trajectory_controller import Trajectory, TrajectoryController, TrajectoryPoint

from rlt_core.control.motion_limits import Command
from rlt_core.robot.limits import AxisLimits
from rlt_policy.outputs.braking import Point
from rlt_policy.outputs.driver_clock import DriverClock
from rlt_policy.outputs.motion_plan import MotionPlan

CLOCKS_APART_S = 1000.0
DELIVERY_S = 0.0002
"""Every message takes at least this long."""


@dataclass(frozen=True)
class Following:
    """What the controller did, cycle by cycle.

    Attributes:
        sent: (K,), s: when the messages were sent.
        times: (T,), s, on the same clock: when each command is to be reached, a cycle after it is
            computed.
        command: (T, n), rad.
        position: (T, n), rad: where the joints were at these times.
        rejected: How many messages the controller rejected.
    """

    sent: NDArray[np.float64]
    times: NDArray[np.float64]
    command: NDArray[np.float64]
    position: NDArray[np.float64]
    rejected: int


def follow(
    commands: Iterable[Command],
    limits: Mapping[str, AxisLimits],
    dt: float,
    controller: TrajectoryController,
    jitter: float,
    late: float = 0.0,
    after: float = 0.4,
    seed: int = 0,
) -> Following:
    """Send a plan for every command and let the controller follow.

    Args:
        commands: What the motion limiter yields, tick by tick.
        limits: Motion limits of the joints.
        dt: Control period, s.
        controller: Follows; it holds its first position until the first message.
        jitter: Messages are delivered late by up to this, s.
        late: Ticks are late by up to this, s.
        after: Time without messages at the end, s.
        seed: Of the delays.
    """
    rng = np.random.default_rng(seed)
    plan = MotionPlan(limits, dt)
    wanted = list(commands)
    sent = np.arange(1, len(wanted) + 1) * dt + rng.uniform(0.0, late, len(wanted))
    cycles = np.arange(rng.uniform(0.0, controller.period), sent[-1] + after, controller.period)
    known = _clock_at(sent, cycles, rng.uniform(0.0, jitter, len(cycles)))
    arrivals = np.maximum.accumulate(sent + DELIVERY_S + rng.uniform(0.0, jitter, len(sent)))
    messages = [
        message(plan.extend(command.setpoint, command.increment, now))
        for command, now in zip(wanted, known, strict=True)
    ]
    command, position, waiting = [], [], 0
    for at in cycles:
        now = at + CLOCKS_APART_S
        while waiting < len(messages) and arrivals[waiting] <= at:
            controller.take(messages[waiting], now)
            waiting += 1
        controller.update(now)
        command.append(controller.command)
        position.append(controller.position)
    return Following(
        sent, cycles + controller.period, np.array(command), np.array(position),
        controller.rejected,
    )


def message(points: list[Point]) -> Trajectory:
    """A plan as a message."""
    begin = points[0].seconds
    return Trajectory(
        begin, [TrajectoryPoint(p.seconds - begin, p.position, p.velocity) for p in points]
    )


def _clock_at(
    sent: NDArray[np.float64], cycles: NDArray[np.float64], delays: NDArray[np.float64]
) -> list[float]:
    """The controller's time as the sender knows it when it sends."""
    clock, known, heard = DriverClock(), [], 0
    stamps = cycles + CLOCKS_APART_S
    received = cycles + DELIVERY_S + delays
    clock.note(CLOCKS_APART_S - 0.5, -0.5 + DELIVERY_S)  # before the first tick
    order = np.argsort(received)
    for now in sent:
        while heard < len(order) and received[order[heard]] <= now:
            clock.note(stamps[order[heard]], received[order[heard]])
            heard += 1
        known.append(clock.at(now))
    return known
