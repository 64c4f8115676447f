"""A subscription of ours matches every publisher, also one that is discovered later."""

import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros2_wheels.topic_streams import matching_qos
from std_msgs.msg import String

BEST, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
VOLATILE, LATCHED = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], (BEST, VOLATILE)),  # a reliable subscription never matches best effort
        ([(RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
        ([(RELIABLE, LATCHED)], (RELIABLE, LATCHED)),
        ([(RELIABLE, LATCHED), (BEST, VOLATILE)], (BEST, VOLATILE)),
    ],
)
def test_the_most_demanding_that_all_offer(domain, offered, expected):
    rclpy.init(domain_id=int(domain))
    node = rclpy.create_node("node")
    try:
        for reliability, durability in offered:
            node.create_publisher(
                String, "topic", QoSProfile(depth=1, reliability=reliability, durability=durability)
            )
        found = matching_qos(node, "/topic")
        assert (found.reliability, found.durability) == expected
    finally:
        node.destroy_node()
        rclpy.shutdown()
