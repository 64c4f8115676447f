"""Recorder and learner as processes that are killed, starved of disk and doubled: nothing lost."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
import yaml
from rclpy.action import ActionServer
from rclpy.context import Context

from rlt_core import checkpoint
from rlt_core.contract import Contract
from rlt_core.durable_log import LOG_FILE, WAL_PAGES, StoredLog
from rlt_core.guard import normalised_bound
from rlt_core.records import (
    Commit,
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Features,
    Outcome,
    Phase,
    Source,
    Transition,
)
from rlt_core.settings import AgentSettings, GuardSettings, TrainingSettings, build
from rlt_core.trainer import Trainer
from rlt_core.windows import WindowBuilder
from rlt_interfaces import msg
from rlt_interfaces.action import Reset
from rlt_interfaces.srv import LabelSuccess
from rlt_node import qos
from rlt_node.conversions import (
    episode_from_msg,
    episode_to_msg,
    features_to_msg,
    step_to_msg,
    transition_from_msg,
)

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
SIM = ROOT / "config" / "robots" / "sim.yaml"
TICKS = 120  # of each episode
RATE_HZ = 400.0
WARMUP = 2
TRAINING = {"warmup_episodes": WARMUP, "warmup_bc_updates": 5, "warmup_critic_updates": 5}
AGENT = {"hidden": 32, "batch": 16}
PATIENCE_S = 90.0


class Robot:
    """Policy, controller and episodes in one: publishes the records of seeded episodes.

    Args:
        domain: ROS domain.
        contract: The run's contract.
        namespace: Of the robot's graph.
        run: Identifier of the run.
        seed: Of the records.
        ticks: Length of every episode.
        rate_hz: Control ticks a second.

    Attributes:
        expected: What a recorder that hears everything commits.
        heard: Every commit that was published.
        late: Lateness of each tick, s.
    """

    def __init__(
        self, domain: int, contract: Contract, namespace: str = "rlt", run: str = "run",
        seed: int = 0, ticks: int = TICKS, rate_hz: float = RATE_HZ,
    ) -> None:
        self.contract, self._ticks, self._period = contract, ticks, 1.0 / rate_hz
        self.run = run
        self.builder = WindowBuilder(contract)
        self.expected: list[Transition] = []
        self.recorder = msg.RecorderStatus()
        self.learner = msg.LearnerStatus()
        self.heard: list[Transition] = []
        self.late: list[float] = []
        self._rng = np.random.default_rng(seed)
        self._digest = contract.hash()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("robot", namespace=f"/{namespace}", context=self._context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        publisher, subscription = self._node.create_publisher, self._node.create_subscription
        self._states = publisher(msg.EpisodeState, "episode_state", qos.BARRIER)
        self._features = publisher(msg.Features, "features", qos.LOG)
        self._steps = publisher(msg.ControlStep, "control_step", qos.LOG)
        for kind, name in ((msg.RecorderStatus, "recorder"), (msg.LearnerStatus, "learner")):
            subscription(
                kind, f"{name}_status", lambda m, name=name: setattr(self, name, m), qos.LATCHED
            )
        subscription(
            msg.Transition, "transitions",
            lambda m: self.heard.append(transition_from_msg(m)), qos.LOG,
        )
        self._state = self._make_state(0, Phase.IDLE)
        self._publish_state()

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def spin(self, seconds: float) -> None:
        self._executor.spin_once(timeout_sec=seconds)

    def wait_for(self, condition: Any, what: str, seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.spin(0.02)

    def run_episode(self, number: int, at: dict[int, Any] | None = None) -> None:
        """Publish an episode at the rate; call what `at` holds for a tick."""
        self._state = self._make_state(number, Phase.RUNNING)
        self._publish_state()
        self.expected += self.builder.start(self._state)
        due = time.monotonic()
        for tick in range(self._state.start_tick, self._state.start_tick + self._ticks):
            self.late.append(self._until(due))
            self._publish_tick(number, tick)
            if at and tick - self._state.start_tick in at:
                at[tick - self._state.start_tick]()
            due += self._period
        self._state = self._make_state(number, Phase.ENDED)
        self._publish_state()
        self.expected += self.builder.end(self._state)

    def _until(self, due: float) -> float:
        """Take messages in until a moment has come; return how late it is then, s."""
        self.spin(max(due - time.monotonic(), 0.0))
        while (late := time.monotonic() - due) < 0.0:
            self.spin(-late)
        return late

    def closed(self, number: int) -> None:
        """Wait until the recorder has closed an episode, as the episodes node does."""
        self.wait_for(lambda: self.recorder.episode >= number, f"the end of episode {number}")

    def _publish_tick(self, number: int, tick: int) -> None:
        contract, noise = self.contract, self._rng.normal
        if tick % contract.stride == 0:
            features = Features(
                episode=number, tick=tick,
                token=noise(size=contract.token_size).astype(np.float32),
                proprio=noise(size=contract.proprio.size).astype(np.float32),
                reference=noise(0.0, 1e-3, (contract.chunk, contract.action.size)).astype(
                    np.float32
                ),
            )
            self._features.publish(features_to_msg(features, contract, self._digest))
            self.expected += self.builder.add_features(features)
        step = ControlStep(
            episode=number, tick=tick, setpoint=np.zeros(4),
            increment=noise(0.0, 1e-3, contract.action.size).astype(np.float32),
            source=Source.HUMAN if tick % 50 == 7 else Source.ACTOR, policy_version=1,
        )
        self._steps.publish(step_to_msg(step, contract.action.names))
        self.expected += self.builder.add_step(step)

    def _make_state(self, number: int, phase: Phase) -> EpisodeState:
        start = 10_000 * number
        ended = phase is Phase.ENDED
        return EpisodeState(
            run=self.run, episode=number, phase=phase, acting=Source.ACTOR, explore=True,
            seed=number,
            kind=EpisodeKind.WARMUP if number <= WARMUP else EpisodeKind.TRAIN,
            tick=start + self._ticks * ended, start_tick=start,
            end_tick=(start + self._ticks) * ended,
            outcome=Outcome.SUCCESS if ended else Outcome.NONE,
            label_source="auto" if ended else "", critical_tick=start,
        )

    def _publish_state(self) -> None:
        self._states.publish(episode_to_msg(self._state))


@pytest.fixture
def contract() -> Contract:
    return Contract.load(MODEL / "contract.json")


@pytest.fixture
def robot(domain: int, contract: Contract, graph: Any) -> Iterator[Robot]:
    made = Robot(domain, contract)
    yield made
    made.close()


def start_recorder(graph: Any, output: Path) -> Any:
    return graph.start("recorder", model=str(MODEL), mode="real_time", output=str(output))


def start_learner(graph: Any, output: Path) -> Any:
    return graph.start(
        "learner", model=str(MODEL), mode="real_time", output=str(output), **TRAINING, **AGENT
    )


def kill(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def read_log(output: Path, contract: Contract, run: str = "run") -> list[Transition]:
    log = StoredLog(output / LOG_FILE)
    assert (log.run, log.contract_hash) == (run, contract.hash())
    return log.page(1, len(log))


def content(t: Transition) -> tuple[Any, ...]:
    """A transition without its seq, comparable by bits."""
    values = (getattr(t, item.name) for item in dataclasses.fields(t) if item.name != "seq")
    return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)


def assert_nothing_lost_or_doubled(found: list[Transition], expected: list[Transition]) -> None:
    assert [t.seq for t in found] == [*range(1, len(found) + 1)]
    keys = Counter((t.commit, t.key) for t in found)
    assert max(keys.values()) == 1, [key for key, count in keys.items() if count > 1]
    assert set(keys) == {(t.commit, t.key) for t in expected}
    assert set(map(content, found)) == set(map(content, expected))


def trained_on(log: list[Transition], contract: Contract) -> Trainer:
    """A trainer that was never killed."""
    limits = yaml.safe_load(SIM.read_text())["/**/learner"]["ros__parameters"]
    trainer = Trainer(
        contract, normalised_bound(GuardSettings(**limits), contract),
        build(AgentSettings, AGENT), build(TrainingSettings, TRAINING), seed=0,
    )
    for transition in log:
        trainer.ingest(transition)
    while trainer.work() or trainer.weights_due:
        if trainer.weights_due:
            trainer.publish()
    return trainer


def assert_learnt_as_if_never_cut(
    graph: Any, robot: Robot, log: list[Transition], output: Path
) -> None:
    """The learner ends with all of the log, and the weights of one that nothing happened to."""
    robot.wait_for(
        lambda: robot.learner.ingested_seq == len(log) and robot.learner.updates_owed < 1,
        "the learner's last updates",
    )
    assert (robot.learner.received, robot.learner.missing) == (len(log), 0)
    assert graph.stop("learner") == 0
    assert f"ingested {len(log)}, gaps 0, duplicates dropped" in graph.log("learner")
    expected, _ = trained_on(log, robot.contract).state_dict()
    found, meta = checkpoint.load(output / "checkpoint")
    assert meta["trainer"]["runs"][robot.run]["folded_seq"] == len(log)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


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
    # No file of this process may grow any more: what a full disk looks like from inside.
    whole = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.run_episode(2)
    robot.wait_for(lambda: robot.recorder.trouble, "the recorder's word")
    assert "log.sqlite takes no commit" in robot.recorder.trouble
    assert robot.recorder.episode == 1 and len(read_log(output, contract)) == committed
    assert max(t.seq for t in robot.heard) == committed, "published before it was committed"
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, whole)
    robot.closed(2)
    assert robot.recorder.trouble == ""
    assert_nothing_lost_or_doubled(read_log(output, contract), robot.expected)
    robot.wait_for(lambda: len(robot.heard) == len(robot.expected), "the last transition")
    assert graph.log("recorder").count("takes no commit") == 1
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.run_episode(3)
    robot.wait_for(lambda: robot.recorder.trouble, "the recorder's word")
    assert graph.stop("recorder") == 1
    assert re.search(r"recorder: error: \d+ transitions are lost: .*takes no commit", graph.log(
        "recorder").splitlines()[-1])


def test_a_second_recorder_of_the_run_is_refused_on_this_machine_and_on_another(
    graph, robot, contract, tmp_path
):
    output = tmp_path / "run"
    first = start_recorder(graph, output)
    robot.wait_for(lambda: robot.recorder.run == "run", "the recorder")
    robot.run_episode(1)
    robot.closed(1)
    for elsewhere in (output, tmp_path / "another_machine"):
        start_recorder(graph, elsewhere)
        assert graph.ended("recorder") == 1
        said = graph.log("recorder")
        assert f"process {first.pid} on" in said.splitlines()[-1], said
    robot.run_episode(2)
    robot.closed(2)
    assert first.poll() is None
    assert_nothing_lost_or_doubled(read_log(output, contract), robot.expected)
    kill(first)


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
    start_recorder(graph, output)
    assert graph.ended("recorder") == 1
    said = graph.log("recorder")
    assert "at least 1 commits of run 'run' are lost" in said and "were dropped" in said
    assert f"the learner has received {received} commits of run 'run', its log holds" in said
    kill(learner)
    start_recorder(graph, output)  # without that learner it goes on
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


# ---- A real episodes node leads ---------------------------------------------------------------


class Led(Robot):
    """Policy, controller and robot of a run that an episodes node leads."""

    def __init__(self, domain: int, contract: Contract) -> None:
        super().__init__(domain, contract)
        self.tick = 1000
        self.begun: dict[int, EpisodeState] = {}
        self._node.create_subscription(
            msg.EpisodeState, "episode_state", self._on_state, qos.BARRIER
        )
        self._reset = ActionServer(self._node, Reset, "reset", self._on_reset)
        self._policy = self._node.create_publisher(msg.PolicyInfo, "policy_info", qos.LATCHED)
        self._policy.publish(msg.PolicyInfo(contract_hash=contract.hash(), policy_version=1))

    def go_on(self, condition: Any, what: str) -> None:
        """Execute ticks at RATE_HZ until a condition holds; without news, those of the episode."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            running = self._state.phase is Phase.RUNNING and self.tick >= self._state.start_tick
            self._publish_tick(self._state.episode if running else 0, self.tick)
            self.tick += 1
            self.spin(1.0 / RATE_HZ)

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
        """The episodes node does."""


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
    episodes = start_episodes(graph, output, resume=False)
    robot.go_on(lambda: robot.executed(1, 60), "the first episode")
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
    # The robot went on for a moment after the recorder had heard of the end.
    beyond = {t.key for t in expected if t.commit is Commit.TOMBSTONE}
    assert_nothing_lost_or_doubled(interrupted, [t for t in expected if t.key not in beyond])

    whole = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    robot.go_on(lambda: robot._state.phase is Phase.ENDED, "the last episode's end")
    robot.go_on(lambda: robot.recorder.trouble, "the recorder's word")
    robot.go_on(lambda: robot.executed(2, TICKS + 200), "half a second more")
    assert episodes.poll() is None
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, whole)
    robot.go_on(lambda: episodes.poll() is not None, "the end of the run")
    assert episodes.returncode == 0, graph.log("episodes")
    assert graph.stop("recorder") == 0
    log = read_log(output, contract)
    assert [t.outcome for t in log if t.commit is Commit.EPISODE_END] == [
        Outcome.TRUNCATED, Outcome.FAILURE
    ]
    assert not any(t.commit is Commit.TOMBSTONE for t in log)
    lines = [json.loads(line) for line in (output / "episodes.jsonl").read_text().splitlines()]
    assert [line["label_source"] for line in lines] == ["interrupted", "time_limit"]
    facts = json.loads((output / "run.json").read_text())["transitions"]
    assert facts["committed"] == len(log)
