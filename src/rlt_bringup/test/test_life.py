"""A graph starts and ends with its launch, and its name is unique: real launches and signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launches import Launch, check_files, process_of, processes_of_the_test, wait_for

from rlt_core.records import Phase
from rlt_interfaces.msg import EpisodeState
from rlt_node import qos
from rlt_node.name_claims import Taken, claim_graph

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
GONE_S = 10.0  # after a launch's end no process of its graph is left
STILL_S = 1.0
HEARD_S = 1.0  # 0.5 s to stand still, and the delay to this test; row 43 measures it
MODES = {
    "lockstep": ("train.launch.py", "base_eval_episodes:=50"),
    "real_time": ("robot.launch.py", "base_eval_episodes:=50"),
}


@pytest.fixture
def launch(domain, tmp_path) -> Iterator[Any]:
    """Starts launches, which are killed after the test."""
    made: list[Launch] = []

    def start(file: str, *arguments: str, name: str = "run") -> Launch:
        made.append(Launch(file, domain, tmp_path / name, *arguments))
        return made[-1]

    yield start
    for each in made:
        each.kill()
    wait_for(lambda: not processes_of_the_test(), "the end of all nodes")


@pytest.fixture(params=MODES)
def running(request, launch, watcher) -> Launch:
    """A launch in each mode, in the middle of its first episode."""
    started = launch(*MODES[request.param])
    watcher.wait_for(
        lambda: started.process.poll() is not None or (
            watcher.states and watcher.states[-1].phase == Phase.RUNNING
            and watcher.steps and watcher.steps[-1].tick > watcher.states[-1].start_tick + 20
        ),
        "an episode that runs",
    )
    assert started.process.poll() is None, started.printed
    return started


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_launch(running, by):
    assert len(processes_of_the_test()) >= 7
    running.process.send_signal(by)
    running.ended()
    ended = time.monotonic()
    wait_for(lambda: not processes_of_the_test(), "the end of all nodes")
    assert time.monotonic() - ended < GONE_S
    assert "Traceback" not in running.printed
    check_files(running.output)


def test_a_leader_that_hangs_stops_the_robot_in_both_modes(running, watcher):
    leader = process_of("episodes")
    os.kill(leader, signal.SIGSTOP)
    moved_at = stopped = time.monotonic()
    watcher.steps.clear()

    def still() -> bool:
        """Whether nothing has moved for a while."""
        nonlocal moved_at
        if any(any(step.increment) for step in watcher.steps):
            moved_at = time.monotonic()
        watcher.steps.clear()
        return time.monotonic() - moved_at > STILL_S

    try:
        watcher.wait_for(still, "the robot to stand still")
        assert moved_at - stopped < HEARD_S, f"moved for {moved_at - stopped:.2f} s"
    finally:
        os.kill(leader, signal.SIGCONT)


def test_a_second_launch_refuses_before_it_starts_anything_and_the_first_does_not_notice(
    launch, domain
):
    first = launch("evaluate.launch.py", "policy:=base", "episodes:=2", name="first")
    wait_for(lambda: "process started with pid" in first.printed, "the first launch")
    second = launch("train.launch.py", name="second")
    assert second.ended() == 1
    assert f"another launch, process {first.process.pid}, already runs /rlt/" in second.printed
    assert "namespace:=" in second.printed and "Traceback" not in second.printed
    assert "process started with pid" not in second.printed
    assert not second.output.exists()
    assert first.ended() == 0, first.printed
    check_files(first.output)


def test_a_node_that_is_left_of_an_earlier_graph_is_named(launch, graph):
    survivor = graph.start("recorder", model=str(MODEL))
    wait_for(lambda: claimed("/rlt/recorder"), "the recorder")
    refused = launch("train.launch.py")
    assert refused.ended() == 1
    assert f", as process {survivor.pid}: stop that process" in refused.printed
    assert "process started with pid" not in refused.printed
    assert graph.stop("recorder") == 0


def test_a_second_node_of_a_name_ends_before_it_has_said_anything(graph):
    graph.processes["first"] = first = graph.start("recorder", model=str(MODEL))
    wait_for(lambda: claimed("/rlt/recorder"), "the recorder")
    graph.start("recorder", model=str(MODEL))
    assert graph.ended("recorder") == 1
    assert graph.log("recorder").splitlines()[-1].startswith(
        f"recorder: error: /rlt/recorder already runs in ROS domain {graph.domain}, as process "
        f"{first.pid}: stop that process, or use another namespace"
    )
    assert first.poll() is None


def test_episodes_that_somebody_else_publishes_already_are_not_led(graph, watcher, tmp_path):
    """As from another machine, which no claim reaches."""
    output = tmp_path / "run"
    watcher.node.create_publisher(EpisodeState, "episode_state", qos.BARRIER)
    graph.start("episodes", model=str(MODEL), job="evaluate_base", output=str(output))
    watcher.wait_for(lambda: graph.processes["episodes"].poll() is not None, "its end")
    assert graph.ended("episodes") == 1
    said = graph.log("episodes").splitlines()[-1]
    assert "/rlt/episode_state is also published by /rlt/watcher (GID " in said
    assert "namespace:=" in said
    assert not watcher.states, "it published before it looked"
    assert not output.exists()


def claimed(name: str) -> bool:
    """Whether a node of this name runs; checked as a launch does, which takes no node's claim."""
    try:
        for claim in claim_graph([name]):
            claim.close()
    except Taken:
        return True
    return False
