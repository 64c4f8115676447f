"""A reset ends in an episode or in one sentence."""

from __future__ import annotations

import time

import pytest
import rclpy
from rclpy.action import ActionServer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from rlt_interfaces.action import Reset
from rlt_node.node import GuardedNode
from rlt_node.process import Refused
from rlt_node.reset import RobotReset

PATIENCE_S = 30.0


class Pair:
    """A robot that answers as told, and a node that asks it to reset."""

    def __init__(self, answer) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.robot = Node("robot", context=self.context)
        self.node = GuardedNode("asking", context=self.context)
        self.server = ActionServer(self.robot, Reset, "reset", answer)
        self.begun: list[int] = []
        self.reset = RobotReset(self.node, self.begun.append)
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.robot, self.node):
            self.executor.add_node(node)

    def spin_until(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.executor.spin_once(timeout_sec=0.1)


@pytest.fixture
def pair(request):
    made = Pair(request.param)
    yield made
    made.executor.shutdown()
    for node in (made.robot, made.node):
        node.destroy_node()
    rclpy.shutdown(context=made.context)


def succeeding(goal):
    goal.succeed()
    return Reset.Result(start_tick=3 * goal.request.tick_multiple)


def aborting(goal):
    goal.abort()
    return Reset.Result()  # error code 0, as rclpy itself answers for a callback that raised


def faulty(goal):
    goal.abort()
    return Reset.Result(error_code=Reset.Goal.ROBOT_FAULT, error_msg="brake engaged")


@pytest.mark.parametrize("pair", [succeeding], indirect=True)
def test_a_reset_begins_an_episode(pair):
    pair.spin_until(pair.reset.is_ready)
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.spin_until(lambda: pair.begun)
    assert pair.begun == [30]
    assert pair.node.ending is None
    pair.reset.check(0.0)  # answered: nothing is waited for


@pytest.mark.parametrize(
    ("pair", "words"),
    [(aborting, "goal status 6, error code 0"), (faulty, "error code 3): brake engaged")],
    indirect=["pair"],
)
def test_a_failed_reset_ends_the_node(pair, words):
    pair.spin_until(pair.reset.is_ready)
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.spin_until(lambda: pair.node.ending is not None)
    assert isinstance(pair.node.ending, Refused)
    assert words in str(pair.node.ending)
    assert not pair.begun


@pytest.mark.parametrize("pair", [succeeding], indirect=True)
def test_a_reset_without_an_answer_names_the_simulator(pair):
    pair.reset.check(0.0)
    pair.reset.ask(seed=1, tick_multiple=10)  # nobody spins: no answer comes
    pair.reset.check(PATIENCE_S)
    with pytest.raises(Refused, match="the simulator has not answered the action reset"):
        pair.reset.check(0.0)
