"""Deferred calls run after all messages that have arrived; their errors end the node, too."""

from __future__ import annotations

import time

import pytest
import rclpy
from diagnostic_msgs.msg import KeyValue
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor

from rlt_node import qos
from rlt_node.node import FailFastNode

PATIENCE_S = 90.0


@pytest.fixture
def nodes():
    rclpy.init()
    made = FailFastNode("worker"), rclpy.create_node("other")
    yield made
    for node in made:
        node.destroy_node()
    rclpy.shutdown()


def spin_until(executor, condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        executor.spin_once(timeout_sec=0.05)


def test_soon_is_after_everything_that_has_arrived(nodes):
    worker, other = nodes
    happened: list[str] = []

    def receive(message: KeyValue) -> None:
        happened.append(message.key)
        if message.key == "0":
            worker.soon(lambda: happened.append("work"))

    worker.create_subscription(KeyValue, "jobs", receive, qos.BARRIER)
    publisher = other.create_publisher(KeyValue, "jobs", qos.BARRIER)
    executor = EventsExecutor()
    executor.add_node(worker)
    spin_until(executor, publisher.get_subscription_count)
    for number in range(10):
        publisher.publish(KeyValue(key=str(number)))
    time.sleep(0.5)  # the worker is busy elsewhere: all of them arrive
    spin_until(executor, lambda: "work" in happened)
    assert happened == [str(number) for number in range(10)] + ["work"]


@pytest.mark.parametrize("kind", [EventsExecutor, SingleThreadedExecutor])
def test_an_unforeseen_error_of_what_was_put_off_is_the_nodes_ending(nodes, kind):
    worker, _ = nodes
    executor = kind()
    executor.add_node(worker)

    def fail() -> None:
        raise KeyError("unexpected")

    worker.soon(fail)
    spin_until(executor, lambda: worker.exit_reason is not None)
    assert isinstance(worker.exit_reason, KeyError)
