"""The scripted person as a node: what it does arrives, through the gamepad's profile, as meant."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import WrenchStamped
from hypothesis import given
from hypothesis import strategies as st
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy

from rlt_core.records import EpisodeKind, EpisodeState, Phase, Source
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import TaskState
from rlt_node import qos
from rlt_node.conversions import episode_to_msg
from rlt_sim.demonstrator import MAX_INCREMENT
from rlt_sim.person import PersonAction
from rlt_sim.person_node import PersonNode, read_profile
from rlt_sim.sticks import HELD_TICKS, Sticks

AXES = ("x", "y", "z", "yaw")
DT = 0.02
PATIENCE_S = 90.0
IMPATIENT = ("patience_s:=0.1", "reaction_s:=0.1", "wrong_label:=0.0", "hand_back:=0.0")


@pytest.mark.parametrize("name", ["xbox", "generic"])
@given(
    share=st.lists(st.floats(-0.9, 0.9), min_size=4, max_size=4), takeover=st.booleans()
)
def test_a_profile_reads_the_sticks_as_the_person_meant_them(name, share, takeover):
    profile = read_profile(name)
    increment = np.array(share) * MAX_INCREMENT
    axes, buttons = Sticks(profile, AXES, 1 / DT).hold(PersonAction(takeover, increment, ()))
    assert profile.held(buttons) is takeover
    read = profile.increment(axes, buttons, AXES, DT)
    np.testing.assert_allclose(read, takeover * increment, atol=1e-7)
    assert max(np.abs(axes)) <= 1.0


def test_a_press_is_held_longer_than_debouncing_and_then_released():
    profile = read_profile("xbox")
    sticks, rest = Sticks(profile, AXES, 1 / DT), PersonAction(False, np.zeros(4), ())
    actions = [dataclasses.replace(rest, presses=("success",)), *[rest] * 9]
    down = [sticks.hold(action)[1][profile.functions["success"]] for action in actions]
    assert down == [1] * HELD_TICKS + [0] * (10 - HELD_TICKS)
    assert HELD_TICKS * DT > 0.1


def test_a_profile_without_sticks_for_the_task_is_refused():
    profile = read_profile("xbox")
    motions = {name: each for name, each in profile.motions.items() if name != "z"}
    with pytest.raises(ValueError, match="profile xbox has no stick or button for z: "):
        Sticks(dataclasses.replace(profile, motions=motions), AXES, 50.0)


def state_message(episode, kind, phase=Phase.RUNNING):
    acting = Source.ACTOR if kind is EpisodeKind.TRAIN else Source.BASE
    return episode_to_msg(EpisodeState("run", episode, kind, phase, acting, False, 7, 0, 0))


class Stage:
    """A graph of the person and a node that plays simulator, episodes and operator."""

    def __init__(self):
        arguments = [word for value in IMPATIENT for word in ("-p", value)]
        rclpy.init(args=["--ros-args", *arguments])
        self.node, self.helper = PersonNode(), rclpy.create_node("stage")
        self.executor = SingleThreadedExecutor()
        for each in (self.node, self.helper):
            self.executor.add_node(each)
        make = self.helper.create_publisher
        self.tasks = make(TaskState, "task_state", qos.BARRIER)
        self.wrenches = make(WrenchStamped, "tcp_wrench", qos.SENSOR)
        self.episodes = make(EpisodeMessage, "episode_state", qos.BARRIER)
        self.joys: list[Joy] = []
        self.helper.create_subscription(Joy, "joy", self.joys.append, qos.SENSOR)
        self.task = TaskState(offset=[0.002, 0.0, 0.004, 0.0], critical=True)
        self.helper.create_timer(DT, self.play)

    def play(self):
        self.tasks.publish(self.task)
        self.wrenches.publish(WrenchStamped())

    def begin(self, episode, kind, phase=Phase.RUNNING):
        self.episodes.publish(state_message(episode, kind, phase))

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.executor.spin_once(timeout_sec=0.1)

    def see(self, count):
        """Wait for this many further messages and return them."""
        seen = len(self.joys)
        self.wait_for(lambda: len(self.joys) >= seen + count)
        return self.joys[seen:]

    def close(self):
        self.executor.shutdown()
        for each in (self.node, self.helper):
            each.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.close()


def edges(joys, button):
    """How often a button goes down."""
    states = [joy.buttons[button] for joy in joys]
    return sum(after > before for before, after in zip(states, states[1:], strict=False))


def test_a_stalled_robot_is_taken_over_and_its_success_labelled_once(stage):
    profile = read_profile("xbox")
    before = stage.see(5)  # no action before an episode runs
    assert all(not any(joy.buttons) and not any(joy.axes) for joy in before)
    stage.begin(1, EpisodeKind.TRAIN)
    stage.wait_for(lambda: profile.held(stage.joys[-1].buttons))
    stage.wait_for(
        lambda: profile.increment(stage.joys[-1].axes, stage.joys[-1].buttons, AXES, DT)[0] < -1e-5
    )  # towards the socket
    taken = len(stage.joys)
    stage.task.success = True
    stage.wait_for(lambda: stage.joys[-1].buttons[profile.functions["success"]])
    stage.begin(1, EpisodeKind.TRAIN, Phase.ENDED)
    stage.wait_for(lambda: not any(stage.joys[-1].buttons))
    stage.see(60)
    assert edges(stage.joys[taken:], profile.functions["success"]) == 1
    assert edges(stage.joys, profile.functions["failure"]) == 0


def test_a_late_correction_of_an_earlier_episode_does_not_end_the_persons_watch(stage):
    profile = read_profile("xbox")
    stage.node._on_episode(state_message(2, EpisodeKind.TRAIN))
    stage.node._on_episode(state_message(1, EpisodeKind.TRAIN, Phase.ENDED))
    stage.wait_for(lambda: stage.joys and profile.held(stage.joys[-1].buttons))


def test_an_evaluation_is_labelled_and_nothing_else(stage):
    profile = read_profile("xbox")
    stage.begin(1, EpisodeKind.EVAL)
    stage.see(40)
    stage.task.failure = True
    stage.wait_for(lambda: stage.joys[-1].buttons[profile.functions["failure"]])
    assert not any(profile.held(joy.buttons) for joy in stage.joys)
    assert not any(any(joy.axes) for joy in stage.joys)
