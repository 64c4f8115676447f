"""A learner that falls silent, or cannot teach, is noticed by those who act on its weights."""

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
    learner = node.create_publisher(LearnerStatus, "learner_status", qos.LATCHED)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def wait_for(condition):
        deadline = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.02)

    assert watch.trouble(3) == "", "a learner that was never heard is not missed"
    learner.publish(LearnerStatus(run="run"))
    wait_for(lambda: heard)
    assert watch.status is not None and watch.status.run == "run"
    wait_for(lambda: watch.trouble(3))
    assert watch.trouble(3) == "learner silent for 1 s, acting on weights v3"
    learner.publish(LearnerStatus(run="run", trouble="learning diverged"))
    wait_for(lambda: len(heard) == 2)
    assert watch.trouble(3) == "learner: learning diverged"
    executor.shutdown()
