"""Who receives the robot's commands: found in a real graph, and missed as soon as it is gone."""

from __future__ import annotations

import time

import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, QoSProfile

from rlt_node import qos
from rlt_policy.controller.listeners import Listeners

PATIENCE_S = 90.0
LOOK_S = 0.1
TOPIC = "/rlt/target_pose"


@pytest.fixture
def make_node(domain):
    """Nodes, each in a context of its own, as processes have."""
    made = []

    def make(name):
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        made.append(rclpy.create_node(name, namespace="/rlt", context=context))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()
        rclpy.shutdown(context=node.context)


@pytest.fixture
def audience(make_node):
    controller = make_node("chunk_controller")
    publisher = controller.create_publisher(PoseStamped, "target_pose", qos.COMMAND)
    return Listeners(controller, (publisher,))


def listen(node, profile=qos.COMMAND):
    return node.create_subscription(PoseStamped, "target_pose", lambda message: None, profile)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(LOOK_S)
    return found


def test_without_a_driver_the_topic_is_named_until_one_comes(audience, make_node):
    found = audience.look()
    assert found.code == "unheard" and f"no driver receives {TOPIC}: start" in found.message
    listen(make_node("driver"))
    wait_for(lambda: audience.look() is None)


def test_a_driver_that_goes_is_missed_at_the_next_tick(audience, make_node):
    driver = make_node("driver")
    subscription = listen(driver)
    wait_for(lambda: audience.look() is None)
    assert not audience.changed()
    driver.destroy_subscription(subscription)
    wait_for(audience.changed)
    assert audience.look() is not None and not audience.changed()


def test_a_subscription_that_never_fits_is_named(audience, make_node):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listen(make_node("driver"), latched)
    found = wait_for(lambda: "/rlt/driver" in audience.look().message and audience.look())
    assert "RELIABLE, TRANSIENT_LOCAL" in found.message
    assert "the publisher (RELIABLE, VOLATILE)" in found.message


@pytest.mark.parametrize("name", ["_ros2cli_123", "rosbag2_recorder"])
def test_who_only_looks_on_is_no_driver(audience, make_node, name):
    listen(make_node(name))
    wait_for(lambda: audience._publishers[0].get_subscription_count())
    for _ in range(5):
        time.sleep(LOOK_S)
        found = audience.look()
    assert f"no driver receives {TOPIC}: start" in found.message
    listen(make_node("driver"))
    wait_for(lambda: audience.look() is None)
