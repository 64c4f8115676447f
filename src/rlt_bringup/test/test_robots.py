"""Two robots with recorders of their own, and one learner that is killed: nothing is mixed up."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from seeded_robot import (
    AGENT,
    MODEL,
    TICKS,
    TRAINING,
    Robot,
    assert_nothing_lost_or_doubled,
    kill,
    read_log,
)

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.log.packing import Packing
from rlt_core.log.stream import Stream
from rlt_core.records import Commit, EpisodeKind, Transition

ROBOTS = ("left", "right")
PATIENCE_S = 90.0


def start_learner(graph: Any, output: Path) -> Any:
    return graph.start(
        "learner", namespace="station", model=str(MODEL), mode="real_time", output=str(output),
        robots=[f"/{name}" for name in ROBOTS], **TRAINING, **AGENT,
    )


def wait_for(robots: dict[str, Robot], condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        told = [robot.learner for robot in robots.values()]
        assert time.monotonic() < deadline, f"timed out waiting for {what}; the statuses are {told}"
        for robot in robots.values():
            robot.spin(0.01)


def folded(log: list[Transition], contract: Contract) -> dict[str, Any]:
    """How far a log reaches, and the checksum of its content."""
    stream = Stream("", Packing(contract))
    for transition in log:
        stream.accept(transition)
    while stream.waiting:
        stream.take()
    return {name: stream.state_dict()[name] for name in ("folded_seq", "crc32")}


def test_two_robots_and_a_learner_that_is_killed_lose_nothing_and_mix_nothing(
    graph, domain, tmp_path
):
    contract = Contract.load(MODEL / "contract.json")
    station, rng = tmp_path / "station", random.Random()
    robots = {
        name: Robot(domain, contract, namespace=name, run=f"run-{name}", seed=seed)
        for seed, name in enumerate(ROBOTS)
    }
    try:
        for name in ROBOTS:
            graph.start(
                "recorder", namespace=name, model=str(MODEL), mode="real_time",
                output=str(tmp_path / name),
            )
        learner = start_learner(graph, station)
        wait_for(
            robots,
            lambda: all(r.recorder.run == r.learner.run == r.run for r in robots.values()),
            "recorders and learner",
        )

        def again() -> None:
            kill(learner)
            start_learner(graph, station)

        for number in (1, 2, 3):
            for name, robot in robots.items():
                killed = (number, name) == (3, "left")
                robot.run_episode(number, {rng.randrange(TICKS): again} if killed else None)
        for robot in robots.values():
            robot.closed(3)
        logs = {r.run: read_log(tmp_path / name, contract, r.run) for name, r in robots.items()}
        for robot in robots.values():
            assert_nothing_lost_or_doubled(logs[robot.run], robot.expected)
        wait_for(
            robots,
            lambda: all(
                r.learner.ingested_seq == len(logs[r.run]) and r.learner.updates_owed < 1
                for r in robots.values()
            ),
            "the learner's last updates",
        )
        wait_for(
            robots,
            lambda: len({r.learner.policy_version for r in robots.values()}) == 1,
            "one version for both",
        )
        for robot in robots.values():
            assert robot.learner.received == len(logs[robot.run]) and not robot.learner.missing
    finally:
        for robot in robots.values():
            robot.close()
    assert graph.stop("station.learner") == 0
    _, meta = checkpoint.load(station / "checkpoint")
    found = meta["trainer"]["runs"]
    assert found.keys() == logs.keys()
    for run, log in logs.items():
        assert found[run].items() >= folded(log, contract).items(), "it folded something else"
    trained = [
        sum(t.kind is EpisodeKind.TRAIN and t.commit is Commit.EPISODE_END for t in log)
        for log in logs.values()
    ]
    assert trained == [1, 1] and meta["trainer"]["warmups"] == 4


def test_a_launch_starts_a_learner_that_died_again(domain, tmp_path):
    log = tmp_path / "launch.log"
    with open(log, "wb") as file:
        launch = subprocess.Popen(
            ["ros2", "launch", "rlt_bringup", "learner.launch.py", "robots:=left,right",
             f"output:={tmp_path / 'station'}"],
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)}, stdout=file, stderr=file,
        )

    def pids(at_least: int) -> list[int]:
        """The processes of the started learners, once so many are working."""
        deadline = time.monotonic() + PATIENCE_S
        while (said := log.read_text()).count("this process runs with nice") < at_least:
            assert time.monotonic() < deadline and launch.poll() is None, said
            time.sleep(0.05)
        return list(map(int, re.findall(r"process started with pid \[(\d+)\]", said)))

    try:
        os.kill(pids(1)[0], signal.SIGKILL)
        assert len(pids(2)) == 2
        assert "learner ended with exit code -9: the robot continues with its" in log.read_text()
    finally:
        launch.send_signal(signal.SIGINT)
        assert launch.wait(90.0) == 0, log.read_text()
