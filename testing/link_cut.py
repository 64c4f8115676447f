"""A complete run whose link between robot and learner is cut for a while."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from graphs import Graph
from machines import TwoMachines
from seeded_robot import (
    MODEL,
    PATIENCE_S,
    Robot,
    assert_learnt_as_if_never_cut,
    assert_nothing_lost_or_doubled,
    kill,
    read_log,
    start_learner,
    start_recorder,
)

from rlt_core.contract import Contract

OUTAGE_S = 4.0
RATE_HZ = 200.0


@dataclass(frozen=True)
class Cut:
    """How the link is made, and what else happens while it is down.

    Attributes:
        bridged: Whether the robot's address stays up without the link.
        killed: Whether recorder and learner are killed and restarted meanwhile.
    """

    bridged: bool
    killed: bool


def run(domain: int, folder: Path, cut: Cut) -> None:
    """Drive such a run and judge it; call it in a separate process.

    DDS reads a process's network once: a process that had nodes elsewhere finds none here.
    """
    machines = TwoMachines(cut.bridged)
    os.environ |= machines.discovery(folder)
    graph = Graph(domain, folder)
    graph.places = {"recorder": machines.robot.command, "learner": machines.trainer.command}
    try:
        with machines.robot.entered():
            robot = Robot(domain, Contract.load(MODEL / "contract.json"), rate_hz=RATE_HZ)
            _run(graph, machines, cut, robot)
            robot.close()
    finally:
        graph.end()
        machines.close()


def _run(graph: Graph, machines: TwoMachines, cut: Cut, robot: Robot) -> None:
    at_robot, at_trainer = graph.folder / "robot", graph.folder / "trainer"
    recorder = start_recorder(graph, at_robot)
    learner = start_learner(graph, at_trainer)
    robot.wait_for(lambda: robot.recorder.run == robot.learner.run == "run", "both nodes")
    number = 0

    def run_episode() -> None:
        nonlocal number
        number += 1
        robot.run_episode(number)
        robot.closed(number)

    def caught_up() -> bool:
        return robot.learner.received == robot.recorder.committed

    for _ in range(3):
        run_episode()
    robot.wait_for(caught_up, "the learner before the cut")
    before = robot.learner.received
    robot.late.clear()

    machines.cut()
    began = time.monotonic()
    if cut.killed:
        kill(recorder)
        start_recorder(graph, at_robot)
        kill(learner)
        start_learner(graph, at_trainer)
    while time.monotonic() < began + OUTAGE_S:
        run_episode()
    outage = time.monotonic() - began
    assert np.median(robot.late) < 1.0 / RATE_HZ, "the robot waited for the link"
    assert robot.learner.received == before < robot.recorder.committed, "the link was not cut"

    machines.reconnect()
    robot.wait_for(
        caught_up, "what was missed", max(2.0 * outage, PATIENCE_S if cut.killed else 0.0)
    )
    run_episode()
    log = read_log(at_robot, robot.contract)
    assert_nothing_lost_or_doubled(log, robot.expected)
    assert_learnt_as_if_never_cut(graph, robot, log, at_trainer)
