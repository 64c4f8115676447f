"""How smoothly a trajectory controller moves an arm that lags, and how soon it stops in silence.

Sends the plans of the robot output `joint_trajectory` at 50 Hz to a calculated controller
(testing/trajectory_controller.py, a restatement of ros2_controllers' own) whose servo lags, for a
sine of 0.63 rad/s at most that has passed the motion limits. All messages are late by up to the
jitter, those of the joint states too, from which the sender learns the controller's time.

The speed errors are those of the best delay, as shares of the sine's highest speed: of the command
beside the sine, of the arm beside the sine through the same servo. Prints both tables; exits with 1
if a goal is missed at a jitter of up to 4 ms.

    python benchmarks/joint_trajectory.py
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "testing"))

from trajectory_controller import TrajectoryController  # noqa: E402
from trajectory_following import Following, follow  # noqa: E402

from rlt_core.action_space import ActionSpace, joints  # noqa: E402
from rlt_core.control.motion_limits import Command, MotionLimiter, MotionLimits  # noqa: E402
from rlt_core.robot.limits import AxisLimits  # noqa: E402

DT = 0.02
SECONDS = 8.0
SETTLED_S = 2.0
AMPLITUDE, TURN = 0.2, np.pi
PEAK = AMPLITUDE * TURN
MOVING = 0.05
LAGS_S, JITTERS_S, RATES_HZ = (0.0, 0.03, 0.06), (0.0, 0.004, 0.015), (200.0, 500.0, 1000.0)
GOAL_JITTER_S = 0.004
Limits = dict[str, AxisLimits]
GOAL_ACCELERATION = 3.0
GOAL_ARM = 0.05
GOAL_REST_S = 0.1
STILL = 0.01
STOP_LAG_S = 0.03
STOPS = ((0.5, 10.0), (1.0, 15.0))


@dataclass(frozen=True)
class Smoothness:
    """How the command and the arm moved.

    Attributes:
        backwards: Share of the moving cycles in which the command went backwards.
        acceleration: p99 of the command's acceleration, as a multiple of the sine's.
        command: Speed error of the command.
        arm: Speed error of the arm.
    """

    backwards: float
    acceleration: float
    command: float
    arm: float

    @property
    def good(self) -> bool:
        """Whether it meets the goals."""
        return (
            self.backwards == 0.0
            and self.acceleration <= GOAL_ACCELERATION
            and self.arm <= GOAL_ARM
        )


def main() -> int:
    """Print both tables; return the process's exit code."""
    return int(not all([print_smoothness(), print_stops()]))


def print_smoothness() -> bool:
    """Print the table of the moving arm; return whether the goals are met."""
    print(
        "| controller, Hz | lag, ms | jitter, ms | interpolate_from_desired_state | backwards | "
        "acceleration p99 / sine's | command speed error | arm speed error |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    met = True
    for rate, lag, jitter, desired in itertools.product(
        RATES_HZ, LAGS_S, JITTERS_S, (False, True)
    ):
        controller = TrajectoryController(np.zeros(1), lag, rate, desired)
        limits = one_joint(1.0, 1.0, 15.0, 0.5)
        found = smoothness(follow(sine(limits), limits, DT, controller, jitter), lag)
        print(
            f"| {rate:g} | {1e3 * lag:g} | {1e3 * jitter:g} | {str(desired).lower()} | "
            f"{found.backwards:.1%} | {found.acceleration:.1f} | {found.command:.1%} | "
            f"{found.arm:.1%} |"
        )
        met &= found.good or jitter > GOAL_JITTER_S
    print(
        f"goals at a jitter of up to {1e3 * GOAL_JITTER_S:g} ms: never backwards, acceleration "
        f"<= {GOAL_ACCELERATION:g} times the sine's, arm speed error <= {GOAL_ARM:.0%}: "
        f"{'met' if met else 'MISSED'}\n"
    )
    return met


def print_stops() -> bool:
    """Print the table of the arm that stops; return whether the command rests in time."""
    print(
        f"| speed, rad/s | acceleration limit, rad/s^2 | command below {STILL:g} rad/s after, ms | "
        "way of the command, mrad | arm below it after, ms | way of the arm, mrad |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    met = True
    for speed, acceleration in STOPS:
        limits = one_joint(9.0, speed, acceleration, 9.0)
        controller = TrajectoryController(np.zeros(1), STOP_LAG_S)
        done = follow(constant(limits, speed), limits, DT, controller, GOAL_JITTER_S)
        row = []
        for place in (done.command[:, 0], done.position[:, 0]):
            silent = done.times >= done.sent[-1]
            moving = np.abs(np.diff(place[silent], prepend=place[~silent][-1])) / controller.period
            last = done.times[silent][moving > STILL][-1] - done.sent[-1]
            row += [1e3 * last, 1e3 * (place[-1] - place[silent][0])]
        print(f"| {speed:g} | {acceleration:g} | " + " | ".join(f"{v:.0f}" for v in row) + " |")
        met &= row[0] <= 1e3 * GOAL_REST_S
    print(
        f"lag {1e3 * STOP_LAG_S:g} ms, 200 Hz, jitter {1e3 * GOAL_JITTER_S:g} ms, counted from the "
        f"last message; goal: the command within {1e3 * GOAL_REST_S:g} ms: "
        f"{'met' if met else 'MISSED'}"
    )
    return met


def one_joint(reach: float, velocity: float, acceleration: float, error: float) -> Limits:
    """Motion limits of a robot of one joint, rad."""
    return {"joint": AxisLimits(
        min=-reach, max=reach, velocity=velocity, acceleration=acceleration,
        max_tracking_error=error,
    )}


def sine(limits: Limits) -> list[Command]:
    """The limited set-points of a sine."""
    ticks = np.arange(round(SECONDS / DT) + 1) * DT
    return _limited(limits, np.diff(AMPLITUDE * np.sin(TURN * ticks)))


def constant(limits: Limits, speed: float) -> list[Command]:
    """The limited set-points of a motion at one speed."""
    return _limited(limits, np.full(round(1.0 / DT), speed * DT))


def _limited(limits: Limits, steps: NDArray[np.float64]) -> list[Command]:
    space = ActionSpace((joints("arm", list(limits)),))
    limiter = MotionLimiter(space, DT, MotionLimits({"arm": limits}, 5))
    limiter.start(np.zeros(1))
    return [limiter.limit(np.array([step]), None) for step in steps]


def smoothness(done: Following, lag: float) -> Smoothness:
    """Compare what the controller did with the sine."""
    period = done.times[1] - done.times[0]
    kept = (done.times > SETTLED_S) & (done.times < done.sent[-1])
    times, command, arm = done.times[kept], done.command[kept, 0], done.position[kept, 0]
    speed, driven = np.diff(command) / period, np.diff(arm) / period
    middle = times[1:] - 0.5 * period
    wanted = _best_sine(middle, speed, PEAK)
    lagging = PEAK / np.hypot(1.0, TURN * lag)
    moving = np.abs(wanted) > MOVING
    return Smoothness(
        float((speed * wanted < 0.0)[moving].mean()),
        float(np.percentile(np.abs(np.diff(speed)) / period, 99)) / (PEAK * TURN),
        _error(speed, wanted),
        _error(driven, _best_sine(middle, driven, lagging)),
    )


def _best_sine(
    times: NDArray[np.float64], speed: NDArray[np.float64], peak: float
) -> NDArray[np.float64]:
    """The sine of this height that is delayed as the speed is."""
    waves = np.stack([np.cos(TURN * times), np.sin(TURN * times)], 1)
    parts = np.linalg.lstsq(waves, speed, rcond=None)[0]
    best: NDArray[np.float64] = waves @ (parts * peak / np.linalg.norm(parts))
    return best


def _error(speed: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(speed - wanted).mean()) / PEAK)


if __name__ == "__main__":
    sys.exit(main())
