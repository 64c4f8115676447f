"""How evenly the controller ticks at 50 Hz beside a busy learner, with isolation and without.

Runs the complete graph in real time on the simulated robot, with a learner that never runs out of
updates, and measures how late each control tick was sent. The time is the stamp that the controller
itself sets on each `control_step` as it sends the set-point, so it contains no reader's delay. The
due time is computed as in the controller: one period after the last due time, and after a late tick
half a period later at the earliest. A period in which no tick was sent is a lost tick.

Isolation is what the nodes do by default: the control process asks for SCHED_FIFO
(`realtime_priority`), the learner runs niced as batch work. The same is measured without isolation
(`realtime_priority: 0`, the learner back under the ordinary scheduler), in turns. Prints the table;
exits with 1 if a goal is missed with isolation on.

    python benchmarks/control_rate.py
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.experimental import EventsExecutor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "testing"))

from domains import claimed_domain  # noqa: E402
from graphs import MODEL, Graph  # noqa: E402

from rlt_interfaces.msg import ControlStep, LearnerStatus  # noqa: E402
from rlt_node import qos  # noqa: E402
from rlt_node.conversions import seconds  # noqa: E402

PERIOD = 0.02
TURNS = 2
START_S = 90.0
GOALS_MS = {99.0: 4.0, 99.9: 20.0}
AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": 2}
ALWAYS_BUSY = {"updates_per_chunk": 10_000.0, "warmup_bc_updates": 1, "warmup_critic_updates": 1}
RUN = {
    "job": "train", "base_eval_episodes": 0, "episodes": 1000, "warmup_episodes": 1,
    "eval_episodes": 0,
}


def main() -> int:
    """Measure in turns; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="measured time of each arm, s")
    length = parser.parse_args().seconds / TURNS
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average at the start {load:.1f}" + " (contended)" * (load > cores))
    late: dict[bool, list[NDArray[np.float64]]] = {True: [], False: []}
    rates: dict[bool, list[float]] = {True: [], False: []}
    for isolated in (True, False) * TURNS:
        with claimed_domain() as domain, tempfile.TemporaryDirectory() as folder:
            stamps, updates = measure(domain, Path(folder), isolated, length)
        late[isolated].append(lateness(stamps))
        rates[isolated].append(updates)
    print("| isolation | ticks | late, ms: p50 | p99 | p99.9 | max | lost ticks | updates/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for isolated, name in ((True, "on"), (False, "off")):
        every = 1e3 * np.concatenate(late[isolated])
        row = [f"{value:.2f}" for value in (*np.percentile(every, [50, 99, 99.9]), every.max())]
        lost, updates = lost_ticks(late[isolated]), np.mean(rates[isolated])
        print(f"| {name} | {every.size} | {' | '.join(row)} | {lost} | {updates:.0f} |")
    own = 1e3 * np.concatenate(late[True])
    missed = [
        f"p{percent:g} <= {goal:g} ms" for percent, goal in GOALS_MS.items()
        if np.percentile(own, percent) > goal
    ] + ["no lost tick"] * bool(lost_ticks(late[True]))
    print(f"goals missed with isolation: {', '.join(missed) or 'none'}")
    return int(bool(missed))


def measure(
    domain: int, folder: Path, isolated: bool, length: float
) -> tuple[NDArray[np.float64], float]:
    """Run the graph until the learner is busy, then watch it for a while.

    Returns:
        The controller's stamps of its ticks, s, and the learner's updates per second.
    """
    graph = Graph(domain, folder)
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("stopwatch", namespace="/rlt", context=context)
    stamps: list[float] = []
    statuses: list[LearnerStatus] = []
    node.create_subscription(
        ControlStep, "control_step", lambda m: stamps.append(seconds(m.header.stamp)), qos.LOG
    )
    node.create_subscription(LearnerStatus, "learner_status", statuses.append, qos.LATEST)
    executor = EventsExecutor(context=context)
    executor.add_node(node)

    def spin(until: float) -> None:
        while time.monotonic() < until:
            executor.spin_once(timeout_sec=0.1)

    try:
        _start(graph, folder, isolated)
        deadline = time.monotonic() + START_S
        while not statuses or statuses[-1].updates < 100:
            if time.monotonic() > deadline:
                raise SystemExit(f"the learner did not start: {graph.log('learner')}")
            spin(time.monotonic() + 0.5)
        if not isolated:
            _ordinary(graph.processes["learner"].pid)
        first, updates = len(stamps), statuses[-1].updates
        spin(time.monotonic() + length)
        return np.array(stamps[first:]), (statuses[-1].updates - updates) / length
    finally:
        executor.remove_node(node)
        node.destroy_node()
        executor.shutdown()
        rclpy.shutdown(context=context)
        graph.end()


def _start(graph: Graph, folder: Path, isolated: bool) -> None:
    run = AGREED | {"output": str(folder / "run")}
    graph.start("policy", **AGREED)
    graph.start("simulator", mode="real_time")
    graph.start("observer", **AGREED)
    graph.start("recorder", **AGREED)
    graph.start("learner", **AGREED, **ALWAYS_BUSY, warmup_episodes=1)
    graph.start("chunk_controller", **AGREED, **({} if isolated else {"realtime_priority": 0}))
    graph.start("episodes", **run, **RUN)


def _ordinary(process: int) -> None:
    """Restore the ordinary priority of a process that has lowered its own."""
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))
                os.setpriority(os.PRIO_PROCESS, int(task.name), 0)
    except PermissionError:
        print("the learner's niceness cannot be reset: only realtime_priority is off")


def lateness(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How late each tick was, s, from the times at which they were sent."""
    late, due = np.zeros(len(stamps) - 1), stamps[0] + PERIOD
    for index, sent in enumerate(stamps[1:]):
        late[index] = max(0.0, sent - due)
        due = max(sent + 0.5 * PERIOD, sent - late[index] + PERIOD)
    return late


def lost_ticks(arms: list[NDArray[np.float64]]) -> int:
    """Whole periods that passed while a tick was late."""
    return int(sum((arm / PERIOD).astype(int).sum() for arm in arms))


if __name__ == "__main__":
    sys.exit(main())
