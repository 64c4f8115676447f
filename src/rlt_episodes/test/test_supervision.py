"""The episodes node between a robot, a controller and a person, all of them played by the test."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.action import ActionServer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from rlt_core.records import EpisodeState, Outcome, Phase, Source
from rlt_episodes import readiness, run_record
from rlt_episodes.episodes_node import EpisodesNode
from rlt_interfaces.action import Reset
from rlt_interfaces.msg import ControlStep, LearnerStatus, PolicyInfo, RecorderStatus, TaskState
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.srv import Handover, LabelSuccess
from rlt_node import qos
from rlt_node.conversions import episode_from_msg
from rlt_node.diagnostics import Level
from rlt_node.process import Finished, NodeError

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
PATIENCE_S = 90.0
PARAMETERS = {
    "model": MODEL, "mode": "real_time", "planning_delay_ticks": 2, "job": "evaluate_base",
    "base_eval_episodes": 3, "supervisor": "human",
}


class Others:
    """All nodes that the node communicates with."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder / "run"
        self.context = Context()
        arguments = ["--ros-args", "-r", f"__ns:=/of_{os.getpid()}_{time.monotonic_ns()}"]
        for name, value in (PARAMETERS | changes | {"output": self.folder}).items():
            arguments += ["-p", f"{name}:={value}"]
        rclpy.init(args=arguments, context=self.context)
        rclpy.init(args=arguments)
        self.node = EpisodesNode()
        self.other = rclpy.create_node("others", context=self.context)
        self.executors = [SingleThreadedExecutor(), SingleThreadedExecutor(context=self.context)]
        self.executors[0].add_node(self.node)
        self.executors[1].add_node(self.other)
        self.states: list[EpisodeState] = []
        self.other.create_subscription(
            EpisodeMessage, "episode_state",
            lambda message: self.states.append(episode_from_msg(message)), qos.BARRIER,
        )
        self._steps = self.other.create_publisher(ControlStep, "control_step", qos.LOG)
        self._tasks = self.other.create_publisher(TaskState, "task_state", qos.BARRIER)
        self._reset = ActionServer(self.other, Reset, "reset", self._on_reset)
        policy = self.other.create_publisher(PolicyInfo, "policy_info", qos.LATEST)
        policy.publish(PolicyInfo(contract_hash=self.node._contract.hash(), policy_version=1))
        self._recorder = self.other.create_publisher(RecorderStatus, "recorder_status", qos.LATEST)
        self._steps.publish(ControlStep(tick=0, source=Source.HOLD))
        self.tick = 1

    @staticmethod
    def _on_reset(goal: Any) -> Reset.Result:
        goal.succeed()
        return Reset.Result(error_code=Reset.Goal.NONE)

    def close(self) -> None:
        self.wait_for(lambda: self.node._reset._asked_at is None)
        for executor in self.executors:
            executor.shutdown()
        self.node.close()
        self.node.destroy_node()
        self.other.destroy_node()
        rclpy.shutdown()
        rclpy.shutdown(context=self.context)

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"timed out; last state {self.states[-1:]}"
            for executor in self.executors:
                executor.spin_once(timeout_sec=0.01)
        return condition()

    def execute(self, ticks: int, source: Source = Source.BASE, **fields: Any) -> None:
        """Publish that the next ticks were executed, and wait until the node knows."""
        episode = self.states[-1].episode if self.states else 0
        for _ in range(ticks):
            step = ControlStep(tick=self.tick, source=source, **{"episode": episode} | fields)
            self._steps.publish(step)
            self.tick += 1
        self.wait_for(lambda: self.node._ticks._last == self.tick - 1)

    def sense(self, **judgement: bool) -> None:
        """Let the simulator judge, and wait until the node knows."""
        message = TaskState(tick=self.tick, **judgement)
        self._tasks.publish(message)
        self.wait_for(lambda: self.node._task == message)

    def record(self, **status: Any) -> None:
        """Publish the recorder's status, and wait until the node knows."""
        message = RecorderStatus(run="run", **status)
        self._recorder.publish(message)
        self.wait_for(lambda: self.node._recorder == message)

    def spin(self, seconds: float) -> None:
        """Wait for some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for executor in self.executors:
                executor.spin_once(timeout_sec=0.01)

    def running(self, episode: int) -> EpisodeState:
        """Wait until an episode runs; go on to its first tick."""
        def begun() -> EpisodeState | None:
            last = self.states[-1] if self.states else None
            return last if last and (last.episode, last.phase) == (episode, Phase.RUNNING) else None

        state: EpisodeState = self.wait_for(begun)
        self.execute(state.start_tick - self.tick, Source.HOLD, episode=0)
        return state

    def call(self, kind: Any, name: str, **fields: Any) -> Any:
        client = self.other.create_client(kind, name)
        self.wait_for(client.service_is_ready)
        answer = client.call_async(kind.Request(**fields))
        self.wait_for(answer.done)
        return answer.result()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Others]]:
    made: list[Others] = []

    def begin(**changes: Any) -> Others:
        made.append(Others(tmp_path, **changes))
        return made[0]

    yield begin
    made[0].close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A disk that rejects the run's record while it is full."""
    state, write = {"full": False}, run_record.replace_file

    def replace_file(*arguments: Any) -> None:
        if state["full"]:
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(run_record, "replace_file", replace_file)
    return state


@pytest.mark.parametrize("jump", [-20, 1000])
def test_a_new_controllers_ticks_abort_the_episode_and_the_next_begins_beyond_all(start, jump):
    others = start()
    others.running(1)
    others.execute(25)
    old = others.tick
    others.tick += jump
    others.execute(3, Source.HOLD)
    ended = others.wait_for(lambda: [s for s in others.states if s.phase is Phase.ENDED])[0]
    assert (ended.outcome, ended.label_source) == (Outcome.TRUNCATED, "abort")
    assert ended.end_tick == old
    second = others.running(2)
    assert second.start_tick > max(old, old + jump)
    others.execute(5)
    assert others.states[-1].phase is Phase.RUNNING  # one jump back ends only one episode


def test_a_person_hands_over_and_the_simulators_word_does_not(start):
    others = start(full_task=True)
    approach = others.running(1)
    assert not approach.critical and approach.critical_tick == 0
    others.sense(critical=True, success=True)
    others.execute(13)
    assert others.states[-1] == approach
    reply = others.call(Handover, "handover", to_actor=True)
    assert reply.success, reply.message
    state = others.wait_for(lambda: others.states[-1].critical and others.states[-1])
    assert state.critical_tick == approach.start_tick + 20
    others.execute(30)
    assert others.call(LabelSuccess, "label_success", success=True).success
    (result,) = others.node._machine.results
    assert (result.outcome, result.steps, result.critical_steps) == (Outcome.SUCCESS, 43, 23)


def test_the_simulators_word_hands_over_where_nobody_supervises(start):
    others = start(full_task=True, supervisor="auto")
    approach = others.running(1)
    others.execute(4)
    others.sense(critical=True)
    others.execute(1)
    state = others.wait_for(lambda: others.states[-1].critical and others.states[-1])
    assert state.critical_tick == approach.start_tick + 10


def test_a_person_has_time_for_a_second_look_before_the_next_episode_opens(start):
    others = start(second_look_s=1.5)
    others.running(1)
    running = time.monotonic()
    others.execute(30)
    for success in (False, True):
        assert others.call(LabelSuccess, "label_success", success=success).success
    (result,) = others.node._machine.results
    assert (result.episode, result.outcome) == (1, Outcome.SUCCESS)
    others.wait_for(lambda: others.states[-1].episode == 2)
    assert time.monotonic() - running > 1.5


def test_a_label_that_may_mean_the_last_episode_is_refused_once_the_next_one_runs(start):
    others = start()
    others.running(1)
    others.execute(30, Source.HUMAN)
    assert others.call(LabelSuccess, "label_success", success=True).success
    others.execute(1, Source.HOLD, episode=0)  # the person lets go
    others.running(2)
    others.execute(5)
    refused = others.call(LabelSuccess, "label_success", success=False)
    assert not refused.success and "'run/1'" in refused.message and "'run/2'" in refused.message
    corrected = others.call(LabelSuccess, "label_success", success=False, episode_id="run/1")
    assert corrected.success
    (result,) = others.node._machine.results
    assert (result.outcome, result.interventions, result.human_ticks) == (Outcome.FAILURE, 1, 30)


@pytest.mark.parametrize("fields", [{"fault": "trip"}, {"episode": 0}])
def test_a_robot_that_was_held_to_the_time_limit_has_not_failed(start, fields):
    others = start(time_limit_ticks=40)
    others.running(1)
    others.execute(39, Source.HOLD, **fields)
    assert others.states[-1].phase is Phase.RUNNING
    others.execute(1, Source.HOLD, **fields)
    ended = others.wait_for(lambda: [s for s in others.states if s.phase is Phase.ENDED])[0]
    assert (ended.outcome, ended.label_source) == (Outcome.TRUNCATED, "fault")
    others.running(2)
    others.execute(40)
    ended = others.wait_for(
        lambda: [s for s in others.states if (s.episode, s.phase) == (2, Phase.ENDED)]
    )[0]
    assert (ended.outcome, ended.label_source) == (Outcome.FAILURE, "time_limit")


def test_what_the_rig_held_is_the_policys_time_no_more_and_cuts_an_episode_that_it_held(start):
    others = start(time_limit_ticks=40)
    others.running(1)
    others.execute(20)
    others.execute(39, Source.HOLD)
    others.execute(19)
    assert others.states[-1].phase is Phase.RUNNING
    others.execute(1, Source.HOLD)
    ended = others.wait_for(lambda: [s for s in others.states if s.phase is Phase.ENDED])[0]
    assert (ended.outcome, ended.label_source) == (Outcome.TRUNCATED, "held")
    (line,) = (others.folder / "episodes.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["steps"], told["held_ticks"], told["label_source"]) == (79, 40, "held")


def test_no_reset_begins_while_a_person_holds_the_robot(start):
    others = start(second_look_s=0.0)
    others.running(1)
    others.execute(30, Source.HUMAN)
    assert others.call(LabelSuccess, "label_success", success=True).success
    node = others.node
    others.wait_for(lambda: node._patience._reason == "the person to let go of the robot")
    for source in (Source.HUMAN, Source.BLEND):
        others.execute(5, source, episode=0)
        node._advance()
        assert others.states[-1].phase is Phase.ENDED
    others.execute(1, Source.HOLD, episode=0)
    others.wait_for(lambda: others.states[-1].episode == 2)


def test_steps_that_queue_up_behind_a_slow_node_are_not_lost(start):
    others = start()
    others.running(1)
    for _ in range(400):
        others._steps.publish(ControlStep(tick=others.tick, source=Source.BASE, episode=1))
        others.tick += 1
    others.wait_for(lambda: others.node._ticks._last == others.tick - 1)
    assert others.node._machine.state.phase is Phase.RUNNING


def test_after_a_correction_the_running_episode_is_again_what_late_joiners_find(start):
    others = start()
    others.running(1)
    others.execute(30)
    assert others.call(LabelSuccess, "label_success", success=True).success
    others.running(2)
    others.execute(30)
    seen = len(others.states)
    assert others.call(LabelSuccess, "label_success", success=False, episode_id="run/1").success
    others.wait_for(lambda: len(others.states) >= seen + 2)
    corrected, current = others.states[seen:]
    assert (corrected.episode, corrected.outcome) == (1, Outcome.FAILURE)
    assert (current.episode, current.phase) == (2, Phase.RUNNING)


# ---- A full disk ------------------------------------------------------------------------------


def test_no_episode_begins_and_no_run_ends_while_the_disk_takes_no_record(start, disk):
    others = start(base_eval_episodes=1, supervisor="auto", time_limit_ticks=40)
    node = others.node
    answer = node._reset._on_done

    def full_in_the_reset(start_tick: int) -> None:
        disk["full"] = True
        answer(start_tick)

    node._reset._on_done = full_in_the_reset
    others.wait_for(lambda: node._record.fault)
    others.spin(0.5)
    assert others.states[-1].phase is Phase.RESETTING and node.exit_reason is None
    health = node._health()
    assert health.level == Level.ERROR and "room on the disk for" in health.message
    disk["full"] = False
    others.running(1)
    assert json.loads((others.folder / "run.json").read_text())["begun"] == 1
    disk["full"] = True
    others.execute(40)
    others.wait_for(lambda: others.states[-1].phase is Phase.ENDED)
    others.spin(0.5)
    assert node.exit_reason is None and not (others.folder / "episodes.jsonl").read_text()
    disk["full"] = False
    others.wait_for(lambda: node.exit_reason is not None)
    assert isinstance(node.exit_reason, Finished)
    assert len((others.folder / "episodes.jsonl").read_text().splitlines()) == 1
    assert "wall_seconds" in json.loads((others.folder / "run.json").read_text())


def test_what_the_disk_does_not_take_up_to_the_end_is_an_error(start, disk):
    others = start(base_eval_episodes=1, supervisor="auto", time_limit_ticks=40)
    others.running(1)
    disk["full"] = True
    others.execute(40)
    others.wait_for(lambda: others.node._record.fault)
    with pytest.raises(NodeError, match="the record lacks the last episodes: no room on the"):
        others.node.close()
    disk["full"] = False


def test_a_run_does_not_end_before_the_recorder_has_committed_all(start, monkeypatch):
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.3)
    others = start(
        job="train", base_eval_episodes=0, warmup_episodes=1, episodes=2, eval_episodes=0,
        supervisor="auto", time_limit_ticks=40,
    )
    node = others.node
    for episode in (1, 2):
        others.record(episode=episode - 1)
        others.running(episode)
        others.execute(40)
    full = "log.sqlite cannot store a commit (full): free space on its disk"
    others.record(episode=1, fault=full)
    others.wait_for(lambda: full in node._patience.lasting)
    others.spin(1.0)
    assert node.exit_reason is None and others.states[-1].phase is Phase.ENDED
    assert "Ctrl-C would end the run without the transitions" in node._health().message
    others.record(episode=2, committed=9, episode_seq=9)
    others.wait_for(lambda: node.exit_reason is not None)
    assert isinstance(node.exit_reason, Finished)
    facts = json.loads((others.folder / "run.json").read_text())
    assert facts["transitions"]["committed"] == 9


def test_the_learners_last_counts_are_not_waited_for_for_ever(start, monkeypatch):
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.3)
    others = start(
        job="train", base_eval_episodes=0, warmup_episodes=1, episodes=2, eval_episodes=0,
        supervisor="auto", time_limit_ticks=40,
    )
    for episode in (1, 2):
        others.record(episode=episode - 1)
        others.running(episode)
        others.execute(40)
    learner = others.other.create_publisher(LearnerStatus, "learner_status", qos.LATEST)
    learner.publish(LearnerStatus(run="run", received=7))
    others.wait_for(lambda: others.node._learner.status)
    others.record(episode=2, committed=9, episode_seq=9)
    waited = time.monotonic()
    others.wait_for(lambda: others.node.exit_reason is not None)
    assert isinstance(others.node.exit_reason, Finished) and time.monotonic() - waited > 0.2
