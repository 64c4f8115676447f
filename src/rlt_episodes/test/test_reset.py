"""A reset ends in an episode or in one error sentence."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.action import ActionServer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from rlt_episodes.reset import RobotReset
from rlt_interfaces.action import Reset
from rlt_node.node import FailFastNode
from rlt_node.process import NodeError

PATIENCE_S = 90.0


class Pair:
    """A robot with a given answer, and a node that requests its reset."""

    def __init__(self, answer) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.robot = Node("robot", context=self.context)
        self.node = FailFastNode("asking", context=self.context)
        self.server = ActionServer(self.robot, Reset, "reset", answer)
        self.nodes = [self.robot, self.node]
        self.begun: list[int] = []
        self.reset = RobotReset(self.node, self.begun.append)
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in self.nodes:
            self.executor.add_node(node)

    def second_server(self, answer) -> ActionServer:
        """Another node that offers the action."""
        node = Node("stranger", context=self.context)
        self.nodes.append(node)
        self.executor.add_node(node)
        return ActionServer(node, Reset, "reset", answer)

    def look_on(self) -> None:
        """Leave time for a reset that must not be requested."""
        for _ in range(10):
            self.executor.spin_once(timeout_sec=0.05)
            self.reset.pursue()

    def ready(self) -> bool:
        self.reset.pursue()
        return not self.reset.obstacle

    def spin_until(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            self.executor.spin_once(timeout_sec=0.1)


@contextlib.contextmanager
def paired(answer) -> Iterator[Pair]:
    """A pair with this robot, as long as it is needed."""
    made = Pair(answer)
    yield made
    made.executor.shutdown()
    for node in made.nodes:
        node.destroy_node()
    rclpy.shutdown(context=made.context)


@pytest.fixture
def pair(request):
    with paired(request.param) as made:
        yield made


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
    pair.spin_until(pair.ready)
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.spin_until(lambda: pair.begun)
    assert pair.begun == [30]
    assert pair.node.exit_reason is None
    pair.reset.check(0.0)  # answered: nothing is waited for


@pytest.mark.parametrize(
    ("pair", "words"),
    [(aborting, "goal status 6, error code 0"), (faulty, "error code 3): brake engaged")],
    indirect=["pair"],
)
def test_a_failed_reset_ends_the_node(pair, words):
    pair.spin_until(pair.ready)
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.spin_until(lambda: pair.node.exit_reason is not None)
    assert isinstance(pair.node.exit_reason, NodeError)
    assert words in str(pair.node.exit_reason)
    assert not pair.begun


@pytest.mark.parametrize("pair", [succeeding], indirect=True)
def test_a_reset_without_an_answer_names_the_simulator(pair):
    pair.reset.check(0.0)
    pair.reset.ask(seed=1, tick_multiple=10)  # nobody spins: no answer comes
    pair.reset.check(PATIENCE_S)
    with pytest.raises(NodeError, match="the simulator has not answered the action reset"):
        pair.reset.check(0.0)


class Waiting:
    """Answers goals only when it is told to."""

    def __init__(self) -> None:
        self.goals: list[Future] = []

    async def answer(self, goal):
        self.goals.append(Future())
        await self.goals[-1]
        return succeeding(goal)


def asked(pair: Pair, robot: Waiting) -> None:
    """Request a reset: its goal has reached the robot, and its result is awaited."""
    pair.spin_until(pair.ready)
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.spin_until(lambda: robot.goals and pair.reset._results._pending_requests)


@pytest.mark.parametrize("pair", [succeeding], indirect=True)
def test_nothing_is_asked_while_two_nodes_offer_the_action(pair):
    stranger = Waiting()
    server = pair.second_server(stranger.answer)
    pair.spin_until(lambda: not pair.ready() and "/stranger" in pair.reset.obstacle)
    assert "/robot, /stranger offer" in pair.reset.obstacle
    pair.reset.ask(seed=1, tick_multiple=10)
    pair.look_on()
    assert not pair.begun and not stranger.goals
    server.destroy()
    pair.spin_until(lambda: pair.ready() and pair.begun)
    assert (pair.begun, stranger.goals, pair.node.exit_reason) == ([30], [], None)


def test_a_second_server_in_mid_reset_answers_nothing_and_gets_no_goal():
    robot, stranger = Waiting(), Waiting()
    with paired(robot.answer) as pair:
        asked(pair, robot)
        server = pair.second_server(stranger.answer)
        pair.spin_until(lambda: not pair.ready())
        robot.goals[0].set_result(None)
        pair.look_on()
        assert not pair.begun
        server.destroy()
        pair.spin_until(lambda: pair.ready() and pair.begun)
        assert (pair.begun, pair.node.exit_reason) == ([30], None)
        assert len(robot.goals) == 1 and not stranger.goals


def test_an_answer_beside_a_server_that_was_not_seen_yet_counts_only_once_it_is_gone():
    robot = Waiting()
    with paired(robot.answer) as pair:
        asked(pair, robot)
        server = pair.second_server(succeeding)
        pair.spin_until(lambda: pair.node.count_services("/reset/_action/get_result") == 2)
        robot.goals[0].set_result(None)
        pair.spin_until(lambda: pair.reset._awaited is None)
        assert not pair.begun
        server.destroy()
        pair.spin_until(lambda: pair.ready() and pair.begun)
        assert len(robot.goals) == 1


def test_a_server_that_takes_the_place_of_another_in_mid_reset_is_given_the_goal():
    robot = Waiting()
    with paired(robot.answer) as pair:
        asked(pair, robot)
        pair.second_server(succeeding)
        pair.spin_until(lambda: not pair.ready())
        pair.server.destroy()
        pair.spin_until(lambda: pair.ready() and pair.begun)
        assert (pair.begun, pair.node.exit_reason) == ([30], None)


ASKING = """
import time
import rlt_episodes.reset
from rlt_node.node import FailFastNode
from rlt_node.process import Finished, run

class Asking(FailFastNode):
    def __init__(self):
        super().__init__("asking")
        self.resets = 0
        self.reset = rlt_episodes.reset.RobotReset(self, self.begun)
        self.create_timer(0.05, self.advance)

    def advance(self):
        if self.count_services("/reset/_action/send_goal") == 2 and self.reset._asked_at is None:
            self.reset.ask(1, 10)
            time.sleep(0.2)  # the answers of both come together
        self.reset.pursue()

    def begun(self, tick):
        self.resets += 1
        if self.resets == 20:
            raise Finished

if __name__ == "__main__":
    rlt_episodes.reset.several_servers = lambda *_: ""  # the second is not known yet
    run("__main__:Asking")
"""


@pytest.mark.parametrize("pair", [succeeding], indirect=True)
def test_answers_that_come_twice_end_no_process(pair):
    pair.second_server(succeeding)
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            pair.executor.spin_once(timeout_sec=0.1)

    spinning = threading.Thread(target=spin)
    spinning.start()
    try:
        ended = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", ASKING], capture_output=True, text=True,
            timeout=PATIENCE_S,
        )
    finally:
        done.set()
        spinning.join()
    assert ended.returncode == 0, ended.stderr
