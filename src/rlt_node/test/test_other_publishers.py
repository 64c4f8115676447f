"""Other nodes that command the robot are found in a real graph, until they are gone."""

from __future__ import annotations

import time

import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context

from rlt_node import qos
from rlt_node.other_publishers import OtherPublishers

PATIENCE_S = 90.0
LOOK_S = 0.5  # as often as the controller looks


@pytest.fixture
def make_node():
    """Nodes that publish `target_pose`, each in a separate context, as in separate processes."""
    made = []

    def make(name):
        context = Context()
        rclpy.init(context=context)
        node = rclpy.create_node(name, namespace="/rlt", context=context)
        node.create_publisher(PoseStamped, "target_pose", qos.COMMAND)
        made.append(node)
        return node

    yield make
    for node in made:
        node.destroy_node()
        rclpy.shutdown(context=node.context)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(LOOK_S)
    return found


def test_another_publisher_is_a_conflict_until_it_is_gone(make_node):
    controller = make_node("chunk_controller")
    rivals = OtherPublishers(controller, ("/rlt/target_pose",), "the robot holds")
    assert rivals.look() is None
    other = make_node("planner")
    found = wait_for(rivals.look)
    (gid,) = (
        ".".join(f"{octet:02x}" for octet in each.endpoint_gid)
        for each in controller.get_publishers_info_by_topic("/rlt/target_pose")
        if each.node_name == "planner"
    )
    assert found.code == "rival"
    assert f"/rlt/target_pose is also published by /rlt/planner (GID {gid}): stop" in found.message
    assert found.message.endswith("; the robot holds")
    other.destroy_node()
    wait_for(lambda: rivals.look() is None)


def test_a_second_controller_is_a_conflict_for_both(make_node):
    nodes = [make_node("chunk_controller") for _ in range(2)]
    for node in nodes:
        rivals = OtherPublishers(node, ("/rlt/target_pose",), "the robot holds")
        found = wait_for(lambda rivals=rivals: rivals.look())
        assert found.message.count("/rlt/chunk_controller (GID ") == 2


def test_publishers_of_other_topics_are_nobodys_rivals(make_node):
    controller = make_node("chunk_controller")
    other = make_node("planner")
    own = OtherPublishers(controller, ("/rlt/position_commands",), "the robot holds")
    wait_for(lambda: controller.count_publishers("/rlt/target_pose") == 2)
    assert own.look() is None
    assert other.count_publishers("/rlt/position_commands") == 0
