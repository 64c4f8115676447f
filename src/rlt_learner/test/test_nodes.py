"""Recorder and learner as nodes: what they refuse, what they survive, what they report."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rcl_interfaces import msg as rosout
from rclpy.executors import SingleThreadedExecutor
from robot_files import SIM

from rlt_core.contract import Contract, ContractMismatch
from rlt_core.log.sqlite_log import DurableLog
from rlt_core.records import (
    KEPT_EPISODES,
    Commit,
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Outcome,
    Phase,
    Source,
)
from rlt_core.rl.trainer import Trainer
from rlt_core.settings import AgentSettings, TrainingSettings
from rlt_interfaces.msg import ControlStep as StepMessage
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import (
    Features,
    LearnerStatus,
    Observation,
    PolicyWeights,
    RecorderStatus,
    Transition,
)
from rlt_interfaces.srv import GetTransitions
from rlt_learner.learner import catch_up
from rlt_learner.learner.checkpoints import Checkpoints
from rlt_learner.learner.learner_node import LearnerNode
from rlt_learner.recorder import recorder_node
from rlt_learner.recorder.recorder_node import RecorderNode
from rlt_node import qos
from rlt_node.conversions import (
    episode_to_msg,
    image_to_msg,
    stamp_of_tick,
    step_to_msg,
    transition_from_msg,
)
from rlt_node.process import NodeError

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
CONTRACT = Contract.load(MODEL / "contract.json")
PATIENCE_S = 90.0


class Bench:
    """A node under test, and one that publishes to it and subscribes to it."""

    def __init__(self, kind: Any, **parameters: Any) -> None:
        given = {"model": MODEL, **parameters}
        if kind is LearnerNode:
            given["robot"] = SIM
        values = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
        rclpy.init(args=["--ros-args", *values])
        self.node = kind()
        self.other = rclpy.create_node("other", use_global_arguments=False)
        self.executor = SingleThreadedExecutor()
        for each in (self.node, self.other):
            self.executor.add_node(each)
        self.publishers: dict[str, Any] = {}

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            self.executor.spin_once(timeout_sec=0.05)

    def send(self, message, topic: str, profile=qos.BARRIER) -> None:
        if topic not in self.publishers:
            publisher = self.other.create_publisher(type(message), topic, profile)
            self.wait_for(publisher.get_subscription_count)
            self.publishers[topic] = publisher
        self.publishers[topic].publish(message)

    def hear(self, kind: Any, topic: str, profile) -> list[Any]:
        heard: list[Any] = []
        self.other.create_subscription(kind, topic, heard.append, profile)
        return heard

    def close(self) -> None:
        self.executor.shutdown()
        if hasattr(self.node, "close"):
            self.node.close()
        for each in (self.node, self.other):
            each.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def make_bench(monkeypatch):
    monkeypatch.setattr(recorder_node, "HISTORY_SECONDS", 0.2)  # no other recorder is starting here
    made = []

    def make(kind: Any, **parameters: Any) -> Bench:
        made.append(Bench(kind, **parameters))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def episode(number: int, phase: Phase, **changes: Any) -> EpisodeMessage:
    values: dict[str, Any] = {
        "run": "run", "episode": number, "kind": EpisodeKind.EVAL, "phase": phase,
        "acting": Source.ACTOR, "explore": False, "seed": 0, "tick": 10 * number + 1,
        "start_tick": 10 * number,
    }
    if phase is Phase.ENDED:
        values |= {"end_tick": 10 * number + 1, "outcome": Outcome.FAILURE}
    return episode_to_msg(EpisodeState(**(values | changes)))


def step(number: int) -> StepMessage:
    """The one step of an episode."""
    record = ControlStep(number, 10 * number, np.zeros(4, np.float32), np.zeros(4), Source.ACTOR)
    return step_to_msg(record, ("x", "y", "z", "yaw"))


def observation(contract: Contract, tick: int) -> Observation:
    """What the contract's cameras see, all black."""
    stamp, cameras = stamp_of_tick(tick, 50.0), contract.cameras
    images = [
        image_to_msg(np.zeros((camera.height, camera.width, 3), np.uint8), stamp, camera.name)
        for camera in cameras
    ]
    return Observation(tick=tick, camera_names=[camera.name for camera in cameras], images=images)


def run_episode(bench: Bench, number: int) -> None:
    bench.send(episode(number, Phase.RUNNING), "episode_state")
    bench.send(step(number), "control_step", qos.LOG)
    bench.send(episode(number, Phase.ENDED), "episode_state")


def test_a_correction_that_comes_too_late_changes_nothing(make_bench):
    bench = make_bench(RecorderNode)
    commits = bench.hear(Transition, "transitions", qos.LOG)
    for number in range(1, KEPT_EPISODES + 2):
        run_episode(bench, number)
        bench.wait_for(lambda number=number: len(commits) == number)
    for number, outcome in ((1, Outcome.NONE), (2, Outcome.SUCCESS)):
        bench.send(episode(number, Phase.ENDED, outcome=outcome), "episode_state")
    bench.wait_for(lambda: len(commits) == KEPT_EPISODES + 2)
    run_episode(bench, KEPT_EPISODES + 2)
    bench.wait_for(lambda: len(commits) == KEPT_EPISODES + 3)
    assert [commit.seq for commit in commits] == list(range(1, KEPT_EPISODES + 4))
    corrected, newest = commits[-2:]
    assert (corrected.episode, corrected.outcome) == (2, Outcome.SUCCESS)
    assert (newest.episode, newest.commit) == (KEPT_EPISODES + 2, Commit.EPISODE_END)
    assert bench.node.exit_reason is None


@pytest.mark.parametrize("mode", ["lockstep", "real_time"])
def test_features_of_another_contract_are_refused(make_bench, mode):
    bench = make_bench(RecorderNode, mode=mode)
    commits = bench.hear(Transition, "transitions", qos.LOG)
    bench.send(Features(episode=1, contract_hash="beef"), "features", qos.LOG)
    if mode == "lockstep":
        bench.wait_for(lambda: bench.node.exit_reason is not None)
        assert isinstance(bench.node.exit_reason, ContractMismatch)
        assert "beef" in str(bench.node.exit_reason)
        assert bench.node._contract.hash() in str(bench.node.exit_reason)
    else:
        run_episode(bench, 1)
        bench.wait_for(lambda: commits)
        assert bench.node.exit_reason is None


@pytest.mark.parametrize("mode", ["lockstep", "real_time"])
@pytest.mark.parametrize(
    ("topic", "harm", "finding"),
    [
        ("features", {"token": [1.0] * 7}, "`token` of tick 10 has shape"),
        ("features", {"token": [1.0] * 128, "reference": [1.0] * 7}, "7 values do not fill rows"),
        ("control_step", {"increment": [1.0] * 3}, "`increment` of tick 10 has shape"),
        ("control_step", {"increment": []}, "`increment` of tick 10 has shape"),
    ],
)
def test_a_record_of_the_wrong_size_is_said_once_and_dropped(
    make_bench, mode, topic, harm, finding
):
    bench = make_bench(RecorderNode, mode=mode)
    said: list[Any] = []
    bench.other.create_subscription(
        rosout.Log, "/rosout", lambda m: said.append(m.msg), qos.BARRIER
    )
    commits = bench.hear(Transition, "transitions", qos.LOG)
    values: dict[str, Any] = {"episode": 1, "tick": 10, "axis_names": ["x", "y", "z", "yaw"]}
    if topic == "features":
        values["contract_hash"] = bench.node._contract.hash()
    wrong = (Features if topic == "features" else StepMessage)(**values | harm)
    for _ in range(3):
        bench.send(wrong, topic, qos.LOG)
    if mode == "lockstep":
        bench.wait_for(lambda: bench.node.exit_reason is not None)
        assert re.search(finding, str(bench.node.exit_reason))
        return
    bench.wait_for(lambda: bench.node._reader.dropped == 3)
    run_episode(bench, 1)
    bench.wait_for(lambda: commits)
    bench.wait_for(lambda: any(re.search(finding, sentence) for sentence in said))
    assert len([sentence for sentence in said if re.search(finding, sentence)]) == 1
    assert bench.node.exit_reason is None


def test_what_the_disk_does_not_take_up_to_the_end_is_said(make_bench, tmp_path, monkeypatch):
    bench = make_bench(RecorderNode, output=tmp_path)
    tries: list[float] = []

    def full(log, transitions):
        tries.append(time.monotonic())
        raise OSError("log.sqlite cannot store a commit (full): free space on its disk")

    monkeypatch.setattr(DurableLog, "commit_all", full)
    said = bench.hear(RecorderStatus, "recorder_status", qos.LATEST)
    run_episode(bench, 1)
    bench.wait_for(lambda: said and said[-1].fault)
    before = len(tries)
    lost = "^1 transitions are lost: log.sqlite cannot store a commit"
    with pytest.raises(NodeError, match=lost):
        bench.node.close()
    assert len(tries) == before + 1, "the last try waited for its turn"


def test_an_episode_that_has_ended_is_committed_when_the_recorder_is_asked_to_end(
    make_bench, tmp_path
):
    bench = make_bench(RecorderNode, mode="real_time", output=tmp_path, late_s=60.0)
    commits = bench.hear(Transition, "transitions", qos.LOG)
    bench.send(episode(1, Phase.RUNNING), "episode_state")
    bench.send(episode(1, Phase.ENDED), "episode_state")  # its step is still on its way
    bench.wait_for(lambda: bench.node._ended_at)
    bench.node.close()
    bench.wait_for(lambda: commits)
    assert (commits[0].episode, commits[0].commit) == (1, Commit.EPISODE_END)


def test_the_log_of_a_run_is_closed_when_another_run_begins(make_bench, tmp_path):
    bench = make_bench(RecorderNode, output=tmp_path)
    told = bench.hear(RecorderStatus, "recorder_status", qos.LATEST)
    bench.send(episode(1, Phase.RESETTING, run="first"), "episode_state")
    bench.wait_for(lambda: told and told[-1].run == "first")
    first = bench.node._commits.log
    bench.send(episode(1, Phase.RESETTING, run="second"), "episode_state")
    bench.wait_for(lambda: told[-1].run == "second" or bench.node.exit_reason)
    assert bench.node.exit_reason is None
    with pytest.raises(ValueError, match="is closed"):
        first.page(1, 1)
    bench.send(episode(1, Phase.RUNNING, run="second"), "episode_state")
    bench.send(step(1), "control_step", qos.LOG)
    bench.send(episode(1, Phase.ENDED, run="second"), "episode_state")
    bench.wait_for(lambda: told[-1].committed == 1)
    # Now that it holds something, the file belongs to its run.
    bench.send(episode(1, Phase.RESETTING, run="third"), "episode_state")
    bench.wait_for(lambda: bench.node.exit_reason is not None)
    said = str(bench.node.exit_reason)
    assert "is the log of run 'second', expected 'third': name another" in said
    contract = bench.node._contract
    assert len(DurableLog(tmp_path / "log.sqlite", "second", contract)) == 1, "still locked"


def test_a_correction_of_another_episode_does_not_end_the_pictures(make_bench, tmp_path):
    bench = make_bench(RecorderNode, output=tmp_path)
    commits = bench.hear(Transition, "transitions", qos.LOG)
    bench.send(episode(1, Phase.RUNNING, kind=EpisodeKind.TRAIN), "episode_state")
    bench.send(episode(1, Phase.ENDED, kind=EpisodeKind.TRAIN), "episode_state")
    bench.send(episode(2, Phase.RESETTING), "episode_state")
    bench.send(
        episode(1, Phase.ENDED, kind=EpisodeKind.TRAIN, outcome=Outcome.SUCCESS), "episode_state"
    )
    seen = observation(bench.node._contract, 20)
    bench.send(episode(2, Phase.RUNNING), "episode_state")
    bench.send(seen, "observation")
    bench.wait_for(lambda: bench.node._pictures.strip._observations)
    bench.send(step(2), "control_step", qos.LOG)
    bench.send(episode(2, Phase.ENDED), "episode_state")
    bench.wait_for(lambda: [commit.episode for commit in commits][-1:] == [2])
    names = {path.name for path in (tmp_path / "frames").iterdir()}
    assert names == {f"eval_{camera.name}_0.png" for camera in bench.node._contract.cameras}


@pytest.mark.parametrize("mode", ["lockstep", "real_time"])
@pytest.mark.parametrize("harm", ["names", "data", "size", "encoding", "path"])
def test_a_malformed_picture_is_said_once_counted_and_dropped(make_bench, tmp_path, mode, harm):
    bench = make_bench(RecorderNode, mode=mode, output=tmp_path)
    said: list[Any] = []
    bench.other.create_subscription(
        rosout.Log, "/rosout", lambda m: said.append(m.msg), qos.BARRIER
    )
    commits = bench.hear(Transition, "transitions", qos.LOG)
    contract = bench.node._contract
    bench.send(episode(2, Phase.RESETTING), "episode_state")
    bench.send(episode(2, Phase.RUNNING), "episode_state")
    wrong = observation(contract, 20)
    if harm == "names":
        wrong.camera_names = [*wrong.camera_names, "another"]
    elif harm == "data":
        wrong.images[0].data = wrong.images[0].data[:7]
    elif harm == "size":
        wrong.images[0] = image_to_msg(
            np.zeros((4, 4, 3), np.uint8), stamp_of_tick(20, 50.0), wrong.camera_names[0]
        )
    elif harm == "encoding":
        wrong.images[0].encoding = "16UC1"
    else:
        wrong.camera_names = ["../../elsewhere", *wrong.camera_names[1:]]
    for _ in range(3):
        bench.send(wrong, "observation")
    bench.wait_for(lambda: bench.node._reader.dropped == 3)
    bench.send(observation(contract, 20), "observation")
    bench.send(step(2), "control_step", qos.LOG)
    bench.wait_for(lambda: bench.node._pictures.strip._observations)
    bench.send(episode(2, Phase.ENDED), "episode_state")
    bench.wait_for(lambda: commits)
    bench.wait_for(lambda: any("observation: " in sentence for sentence in said))
    assert len([sentence for sentence in said if "observation: " in sentence]) == 1
    assert bench.node.exit_reason is None
    assert len(list((tmp_path / "frames").iterdir())) == len(contract.cameras)


def test_a_reply_that_is_lost_is_asked_for_again(make_bench, monkeypatch):
    monkeypatch.setattr(catch_up, "PAGE_SECONDS", 0.5)
    bench = make_bench(LearnerNode)
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    bench.send(episode(1, Phase.ENDED), "episode_state")
    bench.wait_for(lambda: told and told[-1].run == "run")
    bench.send(RecorderStatus(run="run", committed=1), "recorder_status", qos.LATEST)
    (link,) = bench.node._links
    bench.wait_for(lambda: link._catch_up._asked is not None)  # nobody is there to answer

    def answer(request, response):
        response.success, response.committed = True, 1
        response.transitions = [
            Transition(
                run="run", episode=1, seq=1, commit=int(Commit.EPISODE_END),
                kind=int(EpisodeKind.EVAL), contract_hash=bench.node._contract.hash(),
                axis_names=["x", "y", "z", "yaw"],
            )
        ]
        return response

    bench.other.create_service(GetTransitions, "get_transitions", answer)
    bench.wait_for(lambda: told[-1].received == 1)
    assert told[-1].ingested_seq == 1 and told[-1].learning


def test_a_page_that_a_recorder_of_another_run_refused_names_who_offers_it(make_bench):
    bench = make_bench(LearnerNode, mode="real_time")
    bench.node.autostart()
    said: list[str] = []
    bench.other.create_subscription(
        rosout.Log, "/rosout", lambda m: said.append(m.msg), qos.BARRIER
    )

    def refuse(request, response):
        response.message = "this recorder serves run 'other'"
        return response

    stranger = rclpy.create_node("stranger", use_global_arguments=False)
    for node in (bench.other, stranger):
        node.create_service(GetTransitions, "get_transitions", refuse)
    bench.wait_for(lambda: bench.node.count_services("/get_transitions") == 2)
    bench.send(episode(1, Phase.RESETTING), "episode_state")
    bench.send(RecorderStatus(run="run", committed=1), "recorder_status", qos.LATEST)
    bench.executor.add_node(stranger)
    expected = r"serves run 'other'; /get_transitions is offered by .*/stranger"
    bench.wait_for(lambda: any(re.search(expected, sentence) for sentence in said))
    stranger.destroy_node()


@pytest.mark.parametrize("mode", ["lockstep", "real_time"])
@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        ({"contract_hash": "beef"}, "beef"),
        ({"commit": 77}, "77 is not a valid Commit"),
        ({"token": [1.0] * 7}, "`token` of transition .* has shape"),
        ({"actions": [1.0] * 7, "token": [1.0] * 128}, "7 values do not fill rows of 4"),
    ],
)
def test_a_commit_that_is_none_is_refused_and_the_right_one_asked_for(
    make_bench, mode, harm, finding
):
    bench = make_bench(LearnerNode, mode=mode)
    bench.node.autostart()
    right = {
        "run": "run", "episode": 1, "seq": 1, "commit": int(Commit.EPISODE_END),
        "kind": int(EpisodeKind.EVAL), "contract_hash": bench.node._contract.hash(),
        "axis_names": ["x", "y", "z", "yaw"],
    }
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    said: list[Any] = []
    bench.other.create_subscription(
        rosout.Log, "/rosout", lambda m: said.append(m.msg), qos.BARRIER
    )
    bench.send(episode(1, Phase.ENDED), "episode_state")
    bench.wait_for(lambda: told and told[-1].run == "run")
    bench.send(Transition(**right | harm), "transitions", qos.LOG)
    if mode == "lockstep":
        bench.wait_for(lambda: bench.node.exit_reason is not None)
        assert re.search(f"transitions: commit 1: .*{finding}", str(bench.node.exit_reason))
        return

    def answer(request, response):
        response.success, response.committed = True, 1
        response.transitions = [Transition(**right)]
        return response

    bench.other.create_service(GetTransitions, "get_transitions", answer)
    bench.send(RecorderStatus(run="run", committed=1), "recorder_status", qos.LATEST)
    bench.wait_for(lambda: told[-1].received == 1)
    bench.wait_for(lambda: any(re.search(finding, sentence) for sentence in said))
    assert bench.node.exit_reason is None


def test_an_inactive_learner_says_so_and_still_tells_what_it_received(make_bench):
    bench = make_bench(LearnerNode, autostart=False)
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    bench.node.trigger_configure()
    bench.send(episode(1, Phase.ENDED), "episode_state")
    bench.wait_for(lambda: told and told[-1].run == "run")
    assert not told[-1].learning
    end = Transition(
        run="run", episode=1, seq=1, commit=int(Commit.EPISODE_END), kind=int(EpisodeKind.EVAL),
        contract_hash=bench.node._contract.hash(), axis_names=["x", "y", "z", "yaw"],
    )
    bench.send(end, "transitions", qos.LOG)
    bench.wait_for(lambda: told[-1].received == 1)
    bench.node.trigger_activate()
    bench.wait_for(lambda: told[-1].learning and told[-1].ingested_seq == 1)


# ---- Several robots, and logs that are not what they were ----------------------------------------


def end_of(seq: int, run: str = "run", **changes: Any) -> Transition:
    """The commit that ends an evaluation episode."""
    return Transition(**{
        "run": run, "episode": seq, "seq": seq, "commit": int(Commit.EPISODE_END), "step": 30,
        "kind": int(EpisodeKind.EVAL), "contract_hash": CONTRACT.hash(),
        "axis_names": ["x", "y", "z", "yaw"],
    } | changes)


class Log:
    """What a recorder serves; it may be replaced."""

    def __init__(self, bench: Bench, commits: list[Transition], prefix: str = "") -> None:
        self.commits = commits
        bench.other.create_service(GetTransitions, f"{prefix}get_transitions", self.answer)

    def answer(self, request: Any, response: Any) -> Any:
        first = request.first_seq - 1
        response.success, response.committed = True, len(self.commits)
        response.transitions = self.commits[first : first + request.count]
        return response


def checkpoint_after(folder: Path, *commits: Transition) -> None:
    """Write the checkpoint of a learner that has learnt from these."""
    trainer = Trainer(
        CONTRACT, np.ones(4, np.float32), AgentSettings(), TrainingSettings(), seed=0
    )
    for commit in commits:
        trainer.ingest(transition_from_msg(commit))
    trainer.work()
    saved = Checkpoints(folder / "checkpoint", trainer, CONTRACT, print)
    assert saved.save_and_wait(lambda job: job()) == ""
    saved.close()


def test_a_learner_started_between_two_episodes_hears_of_the_run_from_the_recorder(make_bench):
    bench = make_bench(LearnerNode, mode="real_time")
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    bench.send(RecorderStatus(run="run", recorder="r", committed=0), "recorder_status", qos.LATEST)
    bench.wait_for(lambda: told and told[-1].run == "run")


def test_two_robots_feed_one_learner_and_are_told_of_their_own_runs(
    make_bench, tmp_path, capfd
):
    bench = make_bench(LearnerNode, mode="real_time", robots="[left,right]", output=tmp_path)
    bench.node.autostart()
    told = {
        robot: bench.hear(LearnerStatus, f"{robot}/learner_status", qos.LATEST)
        for robot in ("left", "right")
    }
    bench.send(episode(1, Phase.RESETTING, run="l1"), "left/episode_state")
    bench.wait_for(lambda: told["left"] and told["left"][-1].run == "l1")
    for seq in (1, 2):
        bench.send(end_of(seq, "l1"), "left/transitions", qos.LOG)
    bench.wait_for(lambda: told["left"][-1].ingested_seq == 2)
    # The other one comes late, with the same name by mistake; then with one of its own.
    bench.send(episode(1, Phase.RESETTING, run="l1"), "right/episode_state")
    bench.wait_for(lambda: "/left and /right both record run 'l1'" in told["right"][-1].fault)
    bench.send(end_of(3, "l1"), "right/transitions", qos.LOG)
    bench.send(episode(1, Phase.RESETTING, run="r1"), "right/episode_state")
    bench.wait_for(lambda: told["right"][-1].run == "r1")
    assert told["right"][-1].fault == ""
    bench.send(end_of(1, "r1"), "right/transitions", qos.LOG)
    bench.wait_for(lambda: told["right"][-1].ingested_seq == 1)
    assert (told["left"][-1].received, told["right"][-1].received) == (2, 1)
    # A robot that begins a new run adds to what was learnt from its last one.
    bench.send(episode(1, Phase.RESETTING, run="l2"), "left/episode_state")
    bench.wait_for(lambda: told["left"][-1].run == "l2")
    bench.send(end_of(1, "l2"), "left/transitions", qos.LOG)
    bench.wait_for(lambda: told["left"][-1].received == 1)
    assert bench.node.exit_reason is None
    assert capfd.readouterr().err.count("both record run") == 1


def test_who_was_heard_of_before_the_run_of_the_checkpoint_is_admitted_after_it(
    make_bench, tmp_path, capfd
):
    """A restarted learner discovers its robots in any order."""
    checkpoint_after(tmp_path, end_of(1, "l1"))
    bench = make_bench(LearnerNode, mode="real_time", robots="[left,right]", output=tmp_path)
    bench.node.autostart()
    told = {
        robot: bench.hear(LearnerStatus, f"{robot}/learner_status", qos.LATEST)
        for robot in ("left", "right")
    }
    Log(bench, [end_of(1, "l1")], "left/")
    Log(bench, [end_of(1, "r1"), end_of(2, "r1")], "right/")
    bench.send(RecorderStatus(run="r1", committed=2), "right/recorder_status", qos.LATEST)
    bench.wait_for(
        lambda: told["right"]
        and f"{tmp_path} holds the checkpoint of run 'l1'" in told["right"][-1].fault
    )
    bench.send(RecorderStatus(run="l1", committed=1), "left/recorder_status", qos.LATEST)
    bench.wait_for(lambda: told["left"][-1].ingested_seq == 1)
    bench.wait_for(lambda: told["right"][-1].ingested_seq == 2)
    assert told["right"][-1].fault == "" and bench.node.exit_reason is None
    printed = capfd.readouterr().err
    assert printed.count("nothing is learnt from robot /right") == 1
    assert printed.count("learning from robot /right now: run 'r1'") == 1


def test_a_robot_that_comes_late_is_given_the_weights_under_its_own_run(make_bench):
    bench = make_bench(LearnerNode, mode="real_time", robots="[left,right]")
    bench.node.autostart()
    given = {
        robot: bench.hear(PolicyWeights, f"{robot}/policy_weights", qos.LATEST)
        for robot in ("left", "right")
    }
    bench.send(episode(1, Phase.RESETTING, run="l1"), "left/episode_state")
    bench.wait_for(lambda: bench.node._links[0].run)
    worker, actor = bench.node._worker, bench.node._trainer.agent.actor_state()
    worker.submit(lambda: bench.node._publish_weights(4, actor))
    bench.wait_for(lambda: given["left"])
    bench.send(episode(1, Phase.RESETTING, run="r1"), "right/episode_state")
    bench.wait_for(lambda: given["right"])
    assert [(w.run, w.version) for w in given["left"]] == [("l1", 4)]
    assert [(w.run, w.version) for w in given["right"]] == [("r1", 4)]
    assert given["left"][0].data == given["right"][0].data


@pytest.mark.parametrize("mode", ["lockstep", "real_time"])
@pytest.mark.parametrize(
    ("restored", "finding"),
    [
        ([1, 2], "ends at commit 2, but 3 was received"),
        ([1, 2, -3, 4], "holds another commit 3 than the one that was received"),
    ],
)
def test_a_log_that_went_back_is_refused_until_the_right_one_is_there(
    make_bench, mode, restored, finding, capfd
):
    bench = make_bench(LearnerNode, mode=mode)
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    right = [end_of(seq) for seq in (1, 2, 3, 4, 5)]
    log = Log(bench, right[:3])

    def tell(recorder: str) -> None:
        status = RecorderStatus(run="run", committed=len(log.commits), recorder=recorder)
        bench.send(status, "recorder_status", qos.LATEST)

    bench.send(episode(1, Phase.RESETTING), "episode_state")
    tell("process 1")
    bench.wait_for(lambda: told and told[-1].received == 3)
    log.commits = [end_of(abs(seq), step=30 if seq > 0 else 31) for seq in restored]
    tell("process 2")
    if mode == "lockstep":
        bench.wait_for(lambda: bench.node.exit_reason is not None)
        assert finding in str(bench.node.exit_reason) and "process 2" in str(bench.node.exit_reason)
        return
    bench.wait_for(lambda: finding in told[-1].fault)
    bench.send(end_of(4, step=99), "transitions", qos.LOG)
    log.commits = right
    tell("process 3")
    bench.wait_for(lambda: told[-1].received == 5)
    assert told[-1].fault == "" and bench.node.exit_reason is None
    printed = capfd.readouterr().err
    assert printed.count("went back") == printed.count("is the right one again") == 1


@pytest.mark.parametrize(
    ("mode", "served", "finding"),
    [
        ("real_time", [1, 2, 3, 4], ""),
        ("real_time", [1, -2, 3, 4], "differs up to seq 3 from the commits that the check"),
        ("real_time", [1, 2], "ends at seq 2, the checkpoint was saved at seq 3"),
        ("lockstep", [1, -2, 3, 4], "differs up to seq 3 from the commits that the check"),
    ],
)
def test_a_checkpoint_goes_on_with_its_own_log_only(make_bench, tmp_path, mode, served, finding):
    checkpoint_after(tmp_path, *map(end_of, (1, 2, 3)))
    bench = make_bench(LearnerNode, mode=mode, output=tmp_path)
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    log = Log(bench, [end_of(abs(n), step=30 if n > 0 else 31) for n in served])
    bench.send(episode(1, Phase.RESETTING), "episode_state")
    status = RecorderStatus(run="run", committed=len(log.commits))
    bench.send(status, "recorder_status", qos.LATEST)
    if mode == "lockstep":
        bench.wait_for(lambda: bench.node.exit_reason is not None)
        assert finding in str(bench.node.exit_reason)
    elif finding:
        bench.wait_for(lambda: told and finding in told[-1].fault)
        assert bench.node.exit_reason is None
    else:
        bench.wait_for(lambda: told and told[-1].ingested_seq == 4)
        assert told[-1].fault == ""


def test_a_status_that_came_late_is_no_log_that_went_back(make_bench):
    bench = make_bench(LearnerNode)
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    Log(bench, [end_of(seq) for seq in (1, 2, 3)])
    bench.send(episode(1, Phase.RESETTING), "episode_state")
    bench.wait_for(lambda: told and told[-1].run == "run")
    bench.send(end_of(1), "transitions", qos.LOG)
    bench.wait_for(lambda: told[-1].received == 1)
    bench.send(RecorderStatus(run="run", committed=0), "recorder_status", qos.LATEST)
    bench.wait_for(lambda: told[-1].received == 3)  # what the proof reported was fetched
    assert bench.node.exit_reason is None and told[-1].fault == ""


def test_a_link_that_is_too_slow_for_a_page_gets_smaller_ones(make_bench, monkeypatch):
    monkeypatch.setattr(catch_up, "PAGE_SECONDS", 0.3)
    monkeypatch.setattr(catch_up, "LARGEST", 64)
    bench = make_bench(LearnerNode, mode="real_time")
    bench.node.autostart()
    told = bench.hear(LearnerStatus, "learner_status", qos.LATEST)
    pages: list[int] = []
    commits = [end_of(seq) for seq in range(1, 41)]
    elsewhere = rclpy.create_node("elsewhere", use_global_arguments=False)
    executor = SingleThreadedExecutor()
    executor.add_node(elsewhere)

    def answer(request, response):
        time.sleep(0.02 * request.count)
        pages.append(request.count)
        first = request.first_seq - 1
        response.success, response.committed = True, len(commits)
        response.transitions = commits[first : first + request.count]
        return response

    elsewhere.create_service(GetTransitions, "get_transitions", answer)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        bench.send(episode(1, Phase.RESETTING), "episode_state")
        bench.send(RecorderStatus(run="run", committed=40), "recorder_status", qos.LATEST)
        bench.wait_for(lambda: told and told[-1].ingested_seq == 40)
    finally:
        executor.shutdown()
        thread.join()
        elsewhere.destroy_node()
    assert pages[0] == 40 and min(pages) < 16, pages
