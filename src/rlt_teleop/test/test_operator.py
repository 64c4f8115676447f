"""The operator node with real services: what it commands, requests, logs and rejects."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy, JoyFeedback

from rlt_core.action_space import ActionSpace, joints
from rlt_core.contract import Contract
from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase, Source
from rlt_interfaces.msg import ControlStep, HumanCommand, LearnerStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.srv import Abort, Discard, Handover, LabelSuccess, PauseLearning
from rlt_node import qos
from rlt_node.conversions import episode_to_msg
from rlt_teleop import requests
from rlt_teleop.command_line import ros_arguments
from rlt_teleop.operator_node import OperatorNode

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
CONTRACT = Contract.load(MODEL / "contract.json").replace(planning_delay_ticks=2)
SERVICES = {
    "label_success": LabelSuccess, "discard": Discard, "handover": Handover, "abort": Abort,
    "pause_learning": PauseLearning,
}
A, B, X, Y, BACK, START, LB, RB = 0, 1, 2, 3, 4, 6, 9, 10
PATIENCE_S = 90.0
RUNNING = EpisodeState(
    run="r", episode=7, kind=EpisodeKind.TRAIN, phase=Phase.RUNNING, acting=Source.ACTOR,
    explore=True, seed=0, tick=5, start_tick=0,
)  # fmt: skip


class Bench:
    """An operator, a device whose state the test sets, and the nodes that the operator calls."""

    def __init__(
        self, *arguments: str, serving: bool = True, debounce_s: float = 0.05
    ) -> None:
        words = ["-p", f"model:={MODEL}", "-p", "planning_delay_ticks:=2"]
        words += ["-p", f"debounce_s:={debounce_s}"]
        # Silence must come from the test, not from a busy machine.
        words += ["-p", "joy_timeout_s:=1.0", "-p", "stale_s:=0.0", "-p", "stale_full_s:=0.0"]
        profile = str(ROOT / "config" / "gamepads" / "xbox.yaml")
        given = ros_arguments(
            ["operator", "--profile", profile, "--ros-args", *words, *arguments], "--profile"
        )
        rclpy.init(args=given)
        self.node = OperatorNode()
        self.node._patient_until = 0.0
        self.other = rclpy.create_node("other", namespace="/rlt", use_global_arguments=False)
        self.executor = SingleThreadedExecutor()
        for each in (self.node, self.other):
            self.executor.add_node(each)
        self.axes, self.buttons, self.alive = [0.0] * 6, [0] * 21, True
        self.commands: list[HumanCommand] = []
        self.lines: list[str] = []
        self.rumbles: list[float] = []
        self.asked: list[tuple[str, Any]] = []
        self.applied, self.reply = True, "episode 7 is a success"
        other = self.other
        other.create_subscription(HumanCommand, "human_command", self._on_command, qos.COMMAND)
        other.create_subscription(Log, "/rosout", self._on_log, qos.BARRIER)
        other.create_subscription(
            JoyFeedback, "joy/set_feedback", lambda m: self.rumbles.append(m.intensity), 10
        )
        self._joy = other.create_publisher(Joy, "joy", qos.DEVICE)
        other.create_timer(0.01, self._send)
        if serving:
            for name, kind in SERVICES.items():
                other.create_service(kind, name, self._server(name))
            self.wait(lambda: all(c.service_is_ready() for c in self.clients.values()))
        self.wait(lambda: self.commands and not self.commands[-1].fault)
        self.spin(0.15)  # the buttons are seen up

    @property
    def clients(self) -> dict[str, Any]:
        return self.node._requests._clients

    def _on_command(self, message: HumanCommand) -> None:
        self.commands.append(message)

    def _on_log(self, message: Log) -> None:
        if message.name == "rlt.operator":
            self.lines.append(message.msg)

    def _send(self) -> None:
        if self.alive:
            self._joy.publish(self.joy())

    def joy(self, frame: str = "pad") -> Joy:
        """What a device shows in the state that the test set."""
        message = Joy(axes=self.axes, buttons=self.buttons)
        message.header.frame_id = frame
        return message

    def _server(self, name: str) -> Any:
        def serve(request: Any, response: Any) -> Any:
            self.asked.append((name, request))
            response.success, response.message = self.applied, self.reply
            return response

        return serve

    def wait(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; it said {self.lines}"
            self.executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        """Let the device publish for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.01)

    def tell(self, message: Any, topic: str, profile) -> None:
        publisher = self.other.create_publisher(type(message), topic, profile)
        self.wait(publisher.get_subscription_count)
        publisher.publish(message)

    def tap(self, *buttons: int, seconds: float = 0.3) -> None:
        for value in (1, 0):
            for button in buttons:
                self.buttons[button] = value
            self.spin(seconds)

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def bench(request) -> Iterator[Bench]:
    made = Bench(**getattr(request, "param", {}))
    yield made
    made.close()


# ---- Commands


def test_a_command_of_the_person_in_the_contracts_axes(bench):
    bench.axes[1], bench.axes[2], bench.buttons[RB] = 1.0, -0.5, 1
    bench.wait(lambda: bench.commands[-1].takeover and any(bench.commands[-1].increment))
    last = bench.commands[-1]
    assert list(last.axis_names) == list(CONTRACT.action.names)
    assert list(last.increment) == pytest.approx([0.02 * 0.02, 0.0, 0.0, -0.15 * 0.02])
    assert last.contract_hash == CONTRACT.hash()
    assert last.fault == ""
    bench.buttons[LB] = 1
    bench.wait(lambda: bench.commands[-1].increment[0] == pytest.approx(0.05 * 0.02))


def test_a_model_that_no_control_moves_is_told_once_and_stays_at_rest(tmp_path):
    """The controller requires an operator, who can at least stop such a robot."""
    names = ("elbow", "wrist", "knee", "toe")
    contract = CONTRACT.replace(action=ActionSpace((joints("arm", names),)))
    contract.save(tmp_path / "contract.json")
    bench = Bench("-p", f"model:={tmp_path}")
    try:
        bench.axes[1], bench.buttons[RB] = 1.0, 1
        bench.wait(lambda: bench.commands[-1].takeover)
        last = bench.commands[-1]
        assert list(last.axis_names) == list(names)
        assert list(last.increment) == [0.0] * 4
        assert last.fault == ""
        assert last.contract_hash == contract.hash()
        text = "(elbow, wrist, knee, toe): a takeover only stops the robot"
        bench.wait(lambda: bench.said(text))
        assert sum(text in line for line in bench.lines) == 1
    finally:
        bench.close()


def test_commands_come_every_tick_and_count_up(bench):
    del bench.commands[:]
    bench.wait(lambda: len(bench.commands) >= 50)
    sequences = [command.sequence for command in bench.commands]
    assert all(b > a for a, b in itertools.pairwise(sequences))  # only the newest is kept
    stamps = [c.header.stamp.sec + c.header.stamp.nanosec * 1e-9 for c in bench.commands]
    period = (stamps[-1] - stamps[0]) / (sequences[-1] - sequences[0])
    assert period == pytest.approx(0.02, rel=0.5)


def test_a_takeover_is_told_with_the_message_that_shows_it(bench):
    """A press is published at once, not with the next tick."""
    bench.buttons[RB] = 1
    joy, before = bench.joy(), bench.node._sequence
    bench.node._on_joy(joy)
    assert bench.node._sequence == before + 1
    bench.node._on_joy(joy)
    assert bench.node._sequence == before + 1
    bench.wait(lambda: bench.commands[-1].takeover)


def test_a_device_that_falls_silent_in_takeover_is_a_fault_that_the_controller_tells(bench):
    bench.axes[1], bench.buttons[RB] = 0.5, 1
    bench.wait(lambda: bench.commands[-1].takeover)
    bench.alive = False
    bench.wait(lambda: bench.commands[-1].fault)
    assert "/rlt/joy has been silent" in bench.commands[-1].fault
    assert bench.commands[-1].takeover
    assert not any(bench.commands[-1].increment)
    assert not bench.said("silent")
    bench.alive = True
    bench.wait(lambda: bench.said("no takeover is possible now: the device has not been at rest"))
    bench.axes[1], bench.buttons[RB] = 0.0, 0
    bench.wait(lambda: not bench.commands[-1].fault)


def test_a_device_that_falls_silent_otherwise_is_told_once(bench):
    bench.alive = False
    bench.wait(lambda: bench.said("no takeover is possible now: /rlt/joy has been silent"))
    bench.spin(0.3)
    assert sum("silent" in line for line in bench.lines) == 1
    assert not bench.commands[-1].takeover


def test_another_device_in_takeover_is_a_fault_and_never_drives(bench):
    bench.axes[1], bench.buttons[RB] = 0.5, 1
    bench.wait(lambda: bench.commands[-1].takeover)
    assert bench.said("the device is ready (profile xbox): pad with 6 axes and 21 buttons")
    bench.axes = [0.0, 0.9]  # of another layout, as after a restart of its node
    bench.wait(lambda: "pad with 2 axes and 21 buttons" in bench.commands[-1].fault)
    bench.axes = [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    bench.wait(lambda: "has not been at rest" in bench.commands[-1].fault)
    del bench.commands[:]
    bench.node._on_joy(bench.joy("other"))
    assert "comes from other with 6 axes" in bench.node._watch.fault(time.monotonic())
    bench.wait(lambda: len(bench.commands) > 5)
    assert all(command.fault and command.takeover for command in bench.commands)
    assert not any(any(command.increment) for command in bench.commands)
    bench.axes[1], bench.buttons[RB] = 0.0, 0
    bench.wait(lambda: not bench.commands[-1].fault)


def test_two_publishers_of_joy_are_named_and_hold(bench):
    bench.axes[1], bench.buttons[RB] = 0.5, 1
    bench.wait(lambda: bench.commands[-1].takeover)
    second = bench.other.create_publisher(Joy, "joy", qos.DEVICE)
    bench.wait(lambda: bench.commands[-1].fault)
    assert bench.commands[-1].fault.count("/rlt/other (GID ") == 2
    assert not any(bench.commands[-1].increment)
    bench.other.destroy_publisher(second)
    bench.wait(lambda: "has not been at rest" in bench.commands[-1].fault)
    bench.axes[1], bench.buttons[RB] = 0.0, 0
    bench.wait(lambda: not bench.commands[-1].fault)


# ---- Requests


@pytest.mark.parametrize(
    ("button", "service", "fields"),
    [
        (A, "label_success", {"success": True, "episode_id": ""}),
        (B, "label_success", {"success": False, "episode_id": ""}),
        (X, "discard", {"episode_id": ""}),
        (Y, "handover", {"to_actor": True}),
        (BACK, "abort", {"reason": "the operator's button"}),
        (START, "pause_learning", {"pause": True}),
    ],
)
def test_a_press_is_one_request_and_is_acknowledged(bench, button, service, fields):
    bench.tap(button)
    bench.wait(lambda: bench.said(f": {bench.reply}"))
    bench.wait(lambda: bench.rumbles[-1:] == [0.0])
    (name, request), = bench.asked
    assert name == service
    assert {key: getattr(request, key) for key in fields} == fields
    assert len(bench.rumbles) == 2  # on, off: one short pulse


def test_a_refusal_is_told_and_felt_twice(bench):
    bench.applied, bench.reply = False, "no episode runs"
    bench.tap(BACK)
    bench.wait(lambda: bench.said("abort refused: no episode runs"))
    bench.wait(lambda: len(bench.rumbles) == 4)
    assert [value > 0 for value in bench.rumbles] == [True, False, True, False]


def test_handover_and_pause_go_back_and_forth(bench):
    bench.tell(episode_to_msg(RUNNING), "episode_state", qos.LATEST)
    bench.tell(LearnerStatus(learning=False), "learner_status", qos.LATEST)
    bench.wait(lambda: bench.said("episode 7 (training) runs: the actor drives"))
    bench.wait(lambda: not bench.node._learning)
    bench.tap(Y)
    bench.tap(START)
    bench.wait(lambda: len(bench.asked) == 2)
    assert not bench.asked[0][1].to_actor
    assert not bench.asked[1][1].pause


def test_both_labels_are_neither_and_the_person_is_told(bench):
    bench.tap(A, B)
    bench.wait(lambda: bench.said("refused: success and failure are down together"))
    bench.tap(A)
    bench.wait(lambda: bench.asked)
    assert len(bench.asked) == 1


@pytest.mark.parametrize("bench", [{"debounce_s": 0.5}], indirect=True)  # no stall is as long
def test_chatter_and_a_button_held_at_the_start_are_no_request(bench):
    def chattered() -> bool:
        for down in (1, 0, 1, 0, 1, 0):
            bench.buttons[A] = down
            bench.spin(0.02)
        bench.spin(0.6)  # the button is seen up
        return bench.said("success refused: it was down for too short a time")

    bench.wait(chattered)
    bench.alive = False
    bench.wait(lambda: bench.commands[-1].fault)
    bench.buttons[A], bench.alive = 1, True
    bench.wait(lambda: bench.said("success refused: it was down when the device appeared"))
    assert bench.asked == []


def test_a_press_on_a_device_that_is_not_believed_is_refused(bench):
    bench.alive = False
    bench.wait(lambda: bench.commands[-1].fault)
    bench.buttons[RB], bench.alive = 1, True  # held as it comes back
    bench.wait(lambda: "has not been at rest" in bench.commands[-1].fault)
    bench.spin(0.15)  # the label's button is seen up
    bench.tap(A)
    bench.wait(lambda: bench.said("success refused: the device has not been at rest"))
    assert bench.asked == []


@pytest.mark.parametrize("bench", [{"serving": False}], indirect=True)
def test_a_service_that_nobody_offers_is_named(bench):
    bench.tap(START)
    bench.wait(
        lambda: bench.said("pause refused: the node learner does not offer /rlt/pause_learning")
    )


def test_an_answer_that_does_not_come_is_given_up(bench, monkeypatch):
    monkeypatch.setattr(requests, "PATIENCE_S", -1.0)
    bench.node._requests.ask("abort")
    bench.node._requests.check()
    bench.wait(lambda: bench.said("abort refused: the node episodes has not answered"))
    bench.spin(0.2)  # the late answer is ignored
    assert not bench.said(bench.reply)
    monkeypatch.undo()
    bench.node._requests.ask("abort")
    bench.node._requests.ask("abort")
    bench.wait(lambda: bench.said("abort refused: the last request has not been answered yet"))
    bench.wait(lambda: bench.said(f"abort: {bench.reply}"))


def test_a_request_that_two_nodes_take_names_them(bench):
    stranger = rclpy.create_node("stranger", namespace="/rlt", use_global_arguments=False)
    bench.executor.add_node(stranger)
    stranger.create_service(SERVICES["abort"], "abort", bench._server("abort"))
    bench.wait(lambda: bench.node.count_services("/rlt/abort") == 2)
    bench.node._requests.ask("abort")
    bench.wait(lambda: bench.said("/rlt/abort is offered by /rlt/other, /rlt/stranger"))
    assert bench.asked  # an abort does not wait
    stranger.destroy_node()


# ---- What the person sees


def test_takeover_is_told_as_it_really_happens(bench):
    publisher = bench.other.create_publisher(ControlStep, "control_step", qos.LOG)
    bench.wait(publisher.get_subscription_count)
    for source in (Source.ACTOR, Source.BLEND, Source.HUMAN, Source.HOLD):
        publisher.publish(ControlStep(source=int(source)))
        bench.wait(lambda source=source: bench.node._source is source)
    bench.wait(lambda: bench.said("takeover ends: the robot holds"))
    bench.lines = [line for line in bench.lines if "no takeover" not in line]
    assert [line for line in bench.lines if "takeover" in line] == [
        "takeover begins: you drive", "takeover ends: the robot holds",
    ]


def test_the_end_of_an_episode_is_told(bench):
    ended = EpisodeState(
        run="r", episode=7, kind=EpisodeKind.TRAIN, phase=Phase.ENDED, acting=Source.ACTOR,
        explore=True, seed=0, tick=5, start_tick=0, outcome=Outcome.FAILURE,
        label_source="time_limit",
    )  # fmt: skip
    bench.tell(episode_to_msg(ended), "episode_state", qos.LATEST)
    bench.wait(lambda: bench.said("episode 7 (training): failure (time limit)"))
    assert isinstance(bench.node._episode, EpisodeState)
    assert EpisodeMessage.PHASE_ENDED == int(bench.node._episode.phase)


def test_a_late_correction_does_not_hide_the_running_episode(bench):
    earlier = dataclasses.replace(
        RUNNING, episode=5, acting=Source.BASE, phase=Phase.ENDED, outcome=Outcome.FAILURE,
        label_source="human",
    )  # fmt: skip
    bench.node._on_episode(episode_to_msg(earlier))  # all that a respawned operator may get
    assert bench.node._episode.episode == 5
    for state in (RUNNING, earlier):
        bench.node._on_episode(episode_to_msg(state))
    bench.tap(Y)
    bench.wait(lambda: bench.asked)
    assert not bench.asked[0][1].to_actor  # of episode 7, which the actor drives


# ---- What it refuses at the start


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "enable_button:=-1"), "enable_button is off"),
        (("-p", "axis_linear.u:=1"), "unknown parameter.*axis_linear.u"),
        (("-p", "model:=''"), "parameter model is empty"),
    ],
)
def test_what_cannot_work_is_refused(arguments, said):
    try:
        with pytest.raises(ValueError, match=said):
            Bench(*arguments)
    finally:
        rclpy.try_shutdown()
