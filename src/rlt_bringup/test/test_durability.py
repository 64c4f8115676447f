"""Recorder, learner and episodes as processes that are killed and starved: nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.action import ActionServer
from seeded_robot import (
    MODEL,
    PATIENCE_S,
    TICKS,
    Robot,
    assert_learnt_as_if_never_cut,
    assert_nothing_lost_or_doubled,
    kill,
    read_log,
    start_learner,
    start_recorder,
)

from rlt_core.contract import Contract
from rlt_core.log.sqlite_log import LOG_FILE, WAL_PAGES
from rlt_core.records import Commit, EpisodeState, Outcome, Phase, Source
from rlt_interfaces import msg
from rlt_interfaces.action import Reset
from rlt_interfaces.srv import LabelSuccess
from rlt_node import qos
from rlt_node.conversions import episode_from_msg
from rlt_node.process import EXIT_LOST


@pytest.fixture
def contract() -> Contract:
    return Contract.load(MODEL / "contract.json")


@pytest.fixture
def robot(domain: int, contract: Contract, graph: Any) -> Iterator[Robot]:
    made = Robot(domain, contract)
    yield made
    made.close()


def test_recorder_and_learner_killed_again_and_again_lose_nothing_and_double_nothing(
    graph, robot, contract, tmp_path
):
    output, rng = tmp_path / "run", random.Random()
    nodes = {
        "recorder": start_recorder(graph, output), "learner": start_learner(graph, output)
    }
    start = {"recorder": start_recorder, "learner": start_learner}
    robot.wait_for(lambda: robot.recorder.run == robot.learner.run == "run", "both nodes")

    def again(name: str) -> None:
        kill(nodes[name])
        nodes[name] = start[name](graph, output)

    for number, victims in enumerate(
        (["learner"], ["recorder"], ["learner", "recorder"], ["recorder"], []),
        start=1,
    ):
        at = {rng.randrange(TICKS): lambda name=name: again(name) for name in victims}
        robot.run_episode(number, at)
        robot.closed(number)
    log = read_log(output, contract)
    assert_nothing_lost_or_doubled(log, robot.expected)
    assert robot.recorder.committed == len(log)
    assert robot.recorder.human == sum(
        t.commit is Commit.INSERT and Source.HUMAN in t.sources for t in log
    ) > 0
    assert_learnt_as_if_never_cut(graph, robot, log, output)


def test_a_full_disk_pauses_collection_before_anything_is_acknowledged(
    graph, robot, contract, tmp_path
):
    output = tmp_path / "run"
    recorder = start_recorder(graph, output)
    robot.wait_for(lambda: robot.recorder.run == "run", "the recorder")
    robot.run_episode(1)
    robot.closed(1)
    committed = len(read_log(output, contract))
    # No file of this process may grow: from inside this looks like a full disk.
    whole = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.run_episode(2)
    robot.wait_for(lambda: robot.recorder.fault, "the recorder's fault")
    assert "log.sqlite cannot store a commit" in robot.recorder.fault
    assert robot.recorder.episode == 1 and len(read_log(output, contract)) == committed
    assert max(t.seq for t in robot.heard) == committed, "published before it was committed"
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, whole)
    robot.closed(2)
    assert robot.recorder.fault == ""
    assert_nothing_lost_or_doubled(read_log(output, contract), robot.expected)
    robot.wait_for(lambda: len(robot.heard) == len(robot.expected), "the last transition")
    assert graph.log("recorder").count("cannot store a commit") == 1
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.run_episode(3)
    robot.wait_for(lambda: robot.recorder.fault, "the recorder's fault")
    assert graph.stop("recorder") == EXIT_LOST
    last = graph.log("recorder").splitlines()[-1]
    assert re.search(r"recorder: error: \d+ transitions are lost: .*cannot store a commit", last)


def test_a_recorder_whose_log_lost_its_end_says_so_and_gives_no_number_twice(
    graph, robot, contract, tmp_path
):
    output = tmp_path / "run"
    recorder, learner = start_recorder(graph, output), start_learner(graph, output)
    robot.wait_for(lambda: robot.recorder.run == robot.learner.run == "run", "both nodes")
    number, newest = 0, [0] * WAL_PAGES
    while len(newest) >= WAL_PAGES:  # all of it is in the database, too
        number += 1
        robot.run_episode(number)
        robot.closed(number)
        wal = output / (LOG_FILE + "-wal")
        data = bytearray(wal.read_bytes())
        frame = 24 + int.from_bytes(data[8:12], "big")
        newest = [at for at in range(32, len(data), frame) if data[at + 8 : at + 16] == data[16:24]]
    robot.wait_for(lambda: robot.learner.received == robot.recorder.committed, "the learner")
    received = robot.learner.received
    kill(recorder)
    data[newest[-1] + 1000] ^= 1  # in the page that the last commit wrote last
    wal.write_bytes(data)
    robot.restart()  # a recorder could have recorded the same commits from its history again
    start_recorder(graph, output)
    assert graph.ended("recorder") == 1
    said = graph.log("recorder")
    assert "at least 1 commits of run 'run' are lost" in said and "were dropped" in said
    assert f"the learner has received {received} commits of run 'run', its log holds" in said
    kill(learner)
    start_recorder(graph, output)  # without that learner it continues
    robot.run_episode(number + 1)
    robot.closed(number + 1)
    found = read_log(output, contract)
    assert [t.seq for t in found] == [*range(1, len(found) + 1)]
    assert {t.key for t in found if t.episode > number} == {
        t.key for t in robot.expected if t.episode > number
    }


def test_an_unusable_file_ends_the_node_in_one_sentence_and_stays_as_it_is(
    graph, robot, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOG_FILE).write_bytes(b"\x80\x05 this is no database" * 100)
    start_recorder(graph, folder)
    assert graph.ended("recorder") == 1
    assert f"{folder / LOG_FILE} is damaged (file is not a database)" in graph.log("recorder")
    for name in ("manifest.json", "previous.json"):
        (folder / "checkpoint").mkdir(exist_ok=True)
        (folder / "checkpoint" / name).write_text(json.dumps({"schema": 1}))
    start_learner(graph, folder)
    assert graph.ended("learner") == 1
    assert "both generations in" in graph.log("learner")
    assert (folder / LOG_FILE).read_bytes().startswith(b"\x80\x05")


# ---- With a real episodes node ----------------------------------------------------------------


LED_HZ = 100.0  # so that no episode ends before its robot has received its start


class Led(Robot):
    """Policy, controller and robot of a run with an episodes node."""

    def __init__(self, domain: int, contract: Contract) -> None:
        super().__init__(domain, contract)
        self._node.destroy_publisher(self._states)  # only the episodes node publishes states
        self.tick = 1000
        self.begun: dict[int, EpisodeState] = {}
        self._node.create_subscription(
            msg.EpisodeState, "episode_state", self._on_state, qos.BARRIER
        )
        self._reset = ActionServer(self._node, Reset, "reset", self._on_reset)
        self._policy = self._node.create_publisher(msg.PolicyInfo, "policy_info", qos.LATEST)
        self._policy.publish(msg.PolicyInfo(contract_hash=contract.hash(), policy_version=1))

    def go_on(self, condition: Any, what: str) -> None:
        """Execute ticks at LED_HZ until a condition holds, in an episode if one is running."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            running = self._state.phase is Phase.RUNNING and self.tick >= self._state.start_tick
            self._publish_tick(self._state.episode if running else 0, self.tick)
            self.tick += 1
            self.spin(1.0 / LED_HZ)

    def executed(self, number: int, ticks: int) -> bool:
        """Whether so many ticks of an episode have been executed."""
        state = self.begun.get(number)
        return state is not None and self.tick >= state.start_tick + ticks

    def label(self, success: bool, episode_id: str) -> LabelSuccess.Response:
        client = self._node.create_client(LabelSuccess, "label_success")
        self.go_on(client.service_is_ready, "the service")
        answer = client.call_async(LabelSuccess.Request(success=success, episode_id=episode_id))
        self.go_on(answer.done, "the answer")
        return answer.result()

    def _on_state(self, message: msg.EpisodeState) -> None:
        self._state = episode_from_msg(message)
        if self._state.phase is Phase.RUNNING:
            self.begun[self._state.episode] = self._state
            self.expected += self.builder.start(self._state)

    @staticmethod
    def _on_reset(goal: Any) -> Reset.Result:
        goal.succeed()
        return Reset.Result(error_code=Reset.Goal.NONE)

    def _publish_state(self) -> None:
        """The episodes node does it."""


@pytest.fixture
def led(domain: int, contract: Contract, graph: Any) -> Iterator[Led]:
    made = Led(domain, contract)
    yield made
    made.close()


def start_episodes(graph: Any, output: Path, resume: bool) -> Any:
    return graph.start(
        "episodes", model=str(MODEL), mode="real_time", output=str(output), resume=resume,
        base_eval_episodes=0, warmup_episodes=1, episodes=2, eval_episodes=0,
        time_limit_ticks=TICKS,
    )


def test_an_episodes_node_killed_alone_undoes_nothing_and_ends_when_all_is_on_the_disk(
    graph, led, contract, tmp_path
):
    robot, output = led, tmp_path / "run"
    recorder = start_recorder(graph, output)
    listeners = robot._node.count_subscribers
    robot.wait_for(lambda: listeners("episode_state") == 2, "the recorder beside the robot")
    episodes = start_episodes(graph, output, resume=False)
    robot.go_on(
        lambda: robot.executed(1, 60) and robot.recorder.run == "run", "the first episode"
    )
    kill(episodes)
    robot.go_on(lambda: robot.executed(1, 80), "a robot that goes on")
    episodes = start_episodes(graph, output, resume=True)
    robot.go_on(lambda: robot.executed(2, 30), "the second episode")
    reply = robot.label(True, "run/1")
    assert not reply.success and "episode 1 ended before this run was resumed" in reply.message

    interrupted = [t for t in read_log(output, contract) if t.episode == 1]
    end = interrupted[-1]
    assert (end.commit, end.outcome) == (Commit.EPISODE_END, Outcome.TRUNCATED)
    assert end.step >= 80
    state = dataclasses.replace(
        robot.begun[1], phase=Phase.ENDED, end_tick=robot.begun[1].start_tick + end.step,
        outcome=Outcome.TRUNCATED, label_source="abort",
    )
    expected = [t for t in robot.expected if t.episode == 1] + robot.builder.end(state)
    # The robot continued for a moment after the recorder had received the end.
    beyond = {t.key for t in expected if t.commit is Commit.TOMBSTONE}
    assert_nothing_lost_or_doubled(interrupted, [t for t in expected if t.key not in beyond])

    whole = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.go_on(lambda: robot._state.phase is Phase.ENDED, "the last episode's end")
    robot.go_on(lambda: robot.recorder.fault, "the recorder's fault")
    robot.go_on(lambda: robot.executed(2, TICKS + 200), "half a second more")
    assert episodes.poll() is None
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, whole)
    robot.go_on(lambda: episodes.poll() is not None, "the end of the run")
    assert episodes.returncode == 0, graph.log("episodes")
    assert graph.stop("recorder") == 0
    log = read_log(output, contract)
    assert robot._state.label_source == "time_limit"
    assert [t.outcome for t in log if t.commit is Commit.EPISODE_END] == [
        Outcome.TRUNCATED, Outcome.FAILURE
    ]
    assert not any(t.commit is Commit.TOMBSTONE for t in log)
    lines = [json.loads(line) for line in (output / "episodes.jsonl").read_text().splitlines()]
    assert [line["label_source"] for line in lines] == ["interrupted", "time_limit"]
    facts = json.loads((output / "run.json").read_text())["transitions"]
    assert facts["committed"] == len(log)
