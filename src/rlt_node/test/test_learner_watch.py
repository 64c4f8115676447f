"""Nodes that act on a learner's weights detect that it is silent or has a fault."""

from __future__ import annotations

import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from rlt_interfaces.msg import LearnerStatus
from rlt_node import learner_watch, qos
from rlt_node.learner_watch import LearnerWatch


@pytest.fixture
def node():
    rclpy.init()
    made = rclpy.create_node("node", use_global_arguments=False)
    yield made
    made.destroy_node()
    rclpy.shutdown()


def test_silence_is_told_with_the_weights_that_act_until_the_learner_is_heard_again(
    node, monkeypatch
):
    monkeypatch.setattr(learner_watch, "SILENT_SECONDS", 0.6)
    heard: list[bool] = []
    watch = LearnerWatch(node, lambda: heard.append(True))
    learner = node.create_publisher(LearnerStatus, "learner_status", qos.LATEST)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def wait_for(condition):
        deadline = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.02)

    assert watch.fault(3) == "", "a learner that never published is not missed"
    learner.publish(LearnerStatus(run="run"))
    wait_for(lambda: heard)
    assert watch.status is not None and watch.status.run == "run"
    wait_for(lambda: watch.fault(3))
    assert watch.fault(3) == "learner silent for 1 s, acting on weights v3"
    learner.publish(LearnerStatus(run="run", fault="learning diverged"))
    wait_for(lambda: len(heard) == 2)
    assert watch.fault(3) == "learner: learning diverged"
    executor.shutdown()
