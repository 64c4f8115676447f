"""The states are published once no other node surely does, and from then on repeatedly."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from rlt_core.records import EpisodeKind, EpisodeState, Phase, Source
from rlt_episodes.episode_publisher import BEAT_SECONDS, LOOKOUT_SECONDS, EpisodePublisher
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.node import FailFastNode
from rlt_node.process import NodeError

PATIENCE_S = 90.0
IDLE = EpisodeState(
    "run", 0, EpisodeKind.UNKNOWN, Phase.IDLE, Source.BASE, False, seed=0, tick=0, start_tick=0
)
RESETTING = replace(IDLE, episode=1, phase=Phase.RESETTING)


class Graph:
    """A node that publishes the states, and one that receives them."""

    def __init__(self, lockstep: bool, rival: bool) -> None:
        self.contexts = Context(), Context()
        for context in self.contexts:
            rclpy.init(context=context)
        self.leader = FailFastNode("leader", context=self.contexts[0])
        self.other = rclpy.create_node("other", context=self.contexts[1])
        if rival:
            self.other.create_publisher(EpisodeMessage, "episode_state", qos.BARRIER)
        self.states: list[EpisodeMessage] = []
        self.beats: list[EpisodeMessage] = []
        for heard, topic, profile in (
            (self.states, "episode_state", qos.BARRIER),
            (self.beats, "episode_heartbeat", qos.COMMAND),
        ):
            self.other.create_subscription(EpisodeMessage, topic, heard.append, profile)
        self.executors = []
        for node in (self.leader, self.other):
            self.executors.append(SingleThreadedExecutor(context=node.context))
            self.executors[-1].add_node(node)
        self.led = False
        self.began = time.monotonic()
        self.lead = EpisodePublisher(self.leader, IDLE, lambda: self.led, 50.0, lockstep)

    def spin(self, condition, seconds: float = PATIENCE_S) -> bool:
        """Spin until a condition holds, or not longer."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            for executor in self.executors:
                executor.spin_once(timeout_sec=0.01)
        return bool(condition())

    def close(self) -> None:
        for executor in self.executors:
            executor.shutdown()
        for node in (self.leader, self.other):
            node.destroy_node()
            rclpy.shutdown(context=node.context)


@pytest.fixture
def make():
    made = []

    def build(lockstep=False, rival=False):
        made.append(Graph(lockstep, rival))
        return made[-1]

    yield build
    for graph in made:
        graph.close()


def test_nothing_is_said_before_the_led_are_heard_and_then_the_newest_state(make):
    graph = make()
    assert not graph.spin(lambda: graph.lead.sure, 2 * LOOKOUT_SECONDS)
    graph.lead.publish(RESETTING)
    graph.led = True
    assert graph.spin(lambda: graph.states)
    assert graph.lead.sure and graph.states[0].phase == Phase.RESETTING
    graph.lead.publish(replace(RESETTING, phase=Phase.RUNNING))
    assert graph.spin(lambda: len(graph.states) == 2)


def test_a_lookout_lasts_its_time_even_if_the_led_are_quick(make):
    graph = make()
    graph.led = True
    assert graph.spin(lambda: graph.lead.sure)
    assert time.monotonic() - graph.began >= LOOKOUT_SECONDS


def test_where_others_lead_it_refuses_without_a_word(make):
    graph = make(rival=True)
    assert graph.spin(lambda: graph.leader.exit_reason is not None)
    assert isinstance(graph.leader.exit_reason, NodeError)
    assert "/episode_state is also published by /other (GID " in str(graph.leader.exit_reason)
    assert not graph.states and not graph.beats


def test_in_real_time_the_newest_word_is_repeated_unchanged(make):
    graph = make()
    graph.led = True
    graph.lead.publish(RESETTING)
    assert graph.spin(lambda: len(graph.beats) > 5)
    began, count = time.monotonic(), len(graph.beats)
    assert graph.spin(lambda: len(graph.beats) >= count + 10)
    assert time.monotonic() - began > 5 * BEAT_SECONDS
    assert all(beat == graph.states[0] for beat in graph.beats)
    assert len(graph.states) == 1, "a state was published twice"


def test_in_lockstep_nothing_is_repeated(make):
    graph = make(lockstep=True)
    graph.led = True
    assert graph.spin(lambda: graph.states)
    assert not graph.spin(lambda: graph.beats, 5 * BEAT_SECONDS)
