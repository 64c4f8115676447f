"""Robot and learner on two machines, and the link between them cut: nothing lost, all made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
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
    """A way to find each other, and what else happens while the link is away."""

    discovery: dict[str, str]
    bridged: bool
    killed: bool


MULTICAST = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
STATIC_PEERS = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.77.0.1;10.77.0.2",
}
CUTS = {
    "multicast": Cut(MULTICAST, bridged=False, killed=False),
    # DDS looks at a machine's interfaces once: started without a link, it must find a bridge.
    "static_peers_and_restarts": Cut(STATIC_PEERS, bridged=True, killed=True),
}


@pytest.fixture(params=CUTS.values(), ids=CUTS)
def cut(request) -> Cut:
    return request.param


@pytest.fixture
def machines(graph, cut) -> Iterator[TwoMachines]:
    """Recorder and learner will run on a machine each."""
    try:
        made = TwoMachines(cut.bridged)
    except OSError as error:
        pytest.skip(f"network namespaces need root and iproute2: {error}")
    graph.places = {"recorder": made.robot.command, "learner": made.trainer.command}
    yield made
    graph.end()
    made.close()


@pytest.fixture
def robot(domain, graph, machines, cut, monkeypatch) -> Iterator[Robot]:
    graph.environment |= cut.discovery
    for name, value in cut.discovery.items():
        monkeypatch.setenv(name, value)
    with machines.robot.entered():
        made = Robot(domain, Contract.load(MODEL / "contract.json"), rate_hz=RATE_HZ)
        yield made
        made.close()


def test_a_cut_link_stops_no_robot_loses_nothing_and_is_made_up_for(
    graph, machines, cut, robot, tmp_path
):
    at_robot, at_trainer = tmp_path / "robot", tmp_path / "trainer"
    recorder = start_recorder(graph, at_robot)
    learner = start_learner(graph, at_trainer)
    robot.wait_for(lambda: robot.recorder.run == robot.learner.run == "run", "both nodes")

    def run_episode() -> None:
        run_episode.last += 1
        robot.run_episode(run_episode.last)
        robot.closed(run_episode.last)

    def caught_up() -> bool:
        return robot.learner.received == robot.recorder.committed

    run_episode.last = 0
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

    machines.mend()
    robot.wait_for(
        caught_up, "what was missed", max(2.0 * outage, PATIENCE_S if cut.killed else 0.0)
    )
    run_episode()
    log = read_log(at_robot, robot.contract)
    assert_nothing_lost_or_doubled(log, robot.expected)
    assert_learnt_as_if_never_cut(graph, robot, log, at_trainer)
