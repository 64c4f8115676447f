"""The simulator as a robot driver: the results of its reset."""

from __future__ import annotations

import time

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState

from rlt_interfaces.action import Reset
from rlt_node import qos
from rlt_node.conversions import tick_of_stamp
from rlt_sim.simulator_node import SimulatorNode

PATIENCE_S = 90.0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("no headless OpenGL"), Reset.Goal.ROBOT_FAULT),
        (TimeoutError("no headless OpenGL"), Reset.Goal.TIMEOUT),
    ],
)
def test_a_failed_reset_is_aborted_and_says_why(monkeypatch, error, code):
    def fail(seed: int, multiple: int) -> int:
        raise error

    rclpy.init()
    node, asking = SimulatorNode(), rclpy.create_node("asking")
    monkeypatch.setattr(node._loop, "reset", fail)
    executor = SingleThreadedExecutor()
    for each in (node, asking):
        executor.add_node(each)

    def wait_for(condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            executor.spin_once(timeout_sec=0.1)

    client, states = ActionClient(asking, Reset, "reset"), []
    try:
        wait_for(client.server_is_ready)
        sent = client.send_goal_async(
            Reset.Goal(seed=1, tick_multiple=10),
            feedback_callback=lambda message: states.append(message.feedback.state),
        )
        wait_for(sent.done)
        answer = sent.result().get_result_async()
        wait_for(answer.done)
        assert answer.result().status == GoalStatus.STATUS_ABORTED
        assert answer.result().result.error_code == code
        assert answer.result().result.error_msg == "no headless OpenGL"
        wait_for(lambda: states)
        assert states == ["placing the arm and the task"]
    finally:
        executor.shutdown()
        node.close()
        for each in (node, asking):
            each.destroy_node()
        rclpy.shutdown()


def test_who_comes_late_in_lockstep_still_gets_all_of_the_tick_that_waits_for_it():
    rclpy.init()
    node = SimulatorNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    tick = node._loop.reset(1, 10)
    listener = rclpy.create_node("late")
    executor.add_node(listener)
    stamps: dict[str, list[int]] = {"tcp_pose": [], "joint_states": []}
    for topic, kind in (("tcp_pose", PoseStamped), ("joint_states", JointState)):
        listener.create_subscription(
            kind, topic,
            lambda m, ticks=stamps[topic]: ticks.append(tick_of_stamp(m.header.stamp, 50.0)),
            qos.BARRIER,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not all(tick in ticks for ticks in stamps.values()):
            assert time.monotonic() < deadline, stamps
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        node.close()
        for each in (node, listener):
            each.destroy_node()
        rclpy.shutdown()
