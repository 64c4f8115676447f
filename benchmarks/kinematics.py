"""How long inverse kinematics takes per tick, and how near it brings the tool.

Solves single ticks of a UR5e at 50 Hz from random postures: for set-points 1 mm and 1 degree away,
for set-points anywhere, out of reach included, and with limits that most joints are at. Prints
percentiles of the wall time and of this thread's own time. Exits with 1 if the p99 of the wall time
of a kind is above the goal, or a near set-point of a regular posture is not reached.

    python benchmarks/kinematics.py
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rlt_policy.kinematics import Solution, Vector
from rlt_policy.kinematics.damped_least_squares import SINGULAR, DampedLeastSquares
from rlt_policy.kinematics.limits import JointLimits
from rlt_policy.kinematics.model import KinematicModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testing"))
from arms import LIMITS, NAMES, UR5E, turned

GOAL_MS = 1.0
GOAL_M = 5e-6
GOAL_RAD = 5e-6
DT = 0.02
WARM_UP = 50
STEP_M, STEP_RAD = 0.001, np.deg2rad(1.0)
REGULAR = 5.0 * SINGULAR  # below, joints would have to be too fast
NARROW = 0.01  # half the range of the joints at a limit, rad
Case = tuple[DampedLeastSquares, Vector, Vector, Vector]


def main() -> int:
    """Time the kinds of set-points; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--solves", type=int, default=2000, help="ticks to time of each kind")
    solves = parser.parse_args().solves
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average at the start {load:.1f}" + " (contended)" * (load > cores))
    model = KinematicModel(UR5E, "base", "tool0", NAMES)
    print("| set-points | wall, us: p50 | p99 | max | own, us: p50 | p99 |")
    print("| --- | --- | --- | --- | --- | --- |")
    missed = False
    for name, cases in (
        ("1 mm and 1 degree away", near(model)),
        ("anywhere", anywhere(model)),
        ("beyond the joints' limits", at_limits(model)),
    ):
        solutions, wall, own = measure(cases, solves)
        row = (*np.percentile(wall, [50, 99, 100]), *np.percentile(own, [50, 99]))
        print(f"| {name} | {' | '.join(f'{1e6 * value:.0f}' for value in row)} |")
        missed |= bool(1e3 * np.percentile(wall, 99) > GOAL_MS)
        if name.startswith("1 mm"):
            reached = solutions
    regular = [found for found in reached if found.smallest_singular_value > REGULAR]
    position = max(found.position_error_m for found in regular)
    orientation = max(found.orientation_error_rad for found in regular)
    print(
        f"1 mm and 1 degree away, in {len(regular)} of {solves} postures whose smallest singular "
        f"value is above {REGULAR:g}: at most {1e6 * position:.2f} um and "
        f"{1e6 * orientation:.2f} urad remain"
    )
    return int(missed or position > GOAL_M or orientation > GOAL_RAD)


def near(model: KinematicModel) -> Iterator[Case]:
    """Set-points 1 mm and 1 degree away."""
    solver, draw = DampedLeastSquares(model, LIMITS, DT), np.random.default_rng(0)
    while True:
        joints = draw.uniform(-np.pi, np.pi, len(NAMES))
        pose = model.forward(joints)
        way, axis = STEP_M * direction(draw), STEP_RAD * direction(draw)
        yield solver, joints, np.array(pose.position) + way, turned(axis, pose.orientation)


def anywhere(model: KinematicModel) -> Iterator[Case]:
    """Set-points up to 2 m away."""
    solver, draw = DampedLeastSquares(model, LIMITS, DT), np.random.default_rng(1)
    while True:
        joints = draw.uniform(-np.pi, np.pi, len(NAMES))
        turn = np.pi * draw.uniform() * direction(draw)
        yield solver, joints, draw.uniform(-2.0, 2.0, 3), turned(turn, (0.0, 0.0, 0.0, 1.0))


def at_limits(model: KinematicModel) -> Iterator[Case]:
    """Set-points that need most joints to leave their limits."""
    draw = np.random.default_rng(2)
    centre = draw.uniform(-2.0, 2.0, len(NAMES))
    limits = JointLimits(centre - NARROW, centre + NARROW, LIMITS.velocity)
    solver = DampedLeastSquares(model, limits, DT)
    while True:
        pose = model.forward(centre + draw.uniform(-0.5, 0.5, len(NAMES)))
        begin = centre + draw.uniform(-NARROW, NARROW, len(NAMES))
        yield solver, begin, np.array(pose.position), np.array(pose.orientation)


def direction(draw: np.random.Generator) -> Vector:
    """A random unit vector."""
    vector = draw.normal(size=3)
    return vector / np.linalg.norm(vector)


def measure(cases: Iterator[Case], solves: int) -> tuple[list[Solution], Vector, Vector]:
    """Solve some cases; return the solutions, and the wall and own time of each, s."""
    solutions, times = [], []
    for _ in range(WARM_UP + solves):
        solver, joints, position, orientation = next(cases)
        wall, own = time.perf_counter(), time.thread_time()
        solutions.append(solver.solve(joints, position, orientation))
        times.append((time.perf_counter() - wall, time.thread_time() - own))
    wall_times, own_times = np.array(times[WARM_UP:]).T
    return solutions[WARM_UP:], wall_times, own_times


if __name__ == "__main__":
    sys.exit(main())
