"""A separate process that publishes messages far too large, and bytes with a false length.

    python flood.py NUMBERS

For each line on its standard input, it sends three times on every topic of records that nodes read:
a message whose array holds NUMBERS numbers, then a small one that claims 2^31 - 1. Prints `sent`.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from array import array

import rclpy
from rclpy.duration import Duration
from rclpy.serialization import serialize_message

from rlt_interfaces import msg
from rlt_node import qos

TARGETS = (
    (msg.ActionChunk, "action_chunk", "actions", qos.BARRIER),
    (msg.HumanCommand, "human_command", "increment", qos.COMMAND),
    (msg.Features, "features", "token", qos.LOG),
    (msg.Transition, "transitions", "token", qos.LOG),
    (msg.PolicyWeights, "policy_weights", "data", qos.LATEST),
)
MARK = (3.25, 4.5, 5.75)
LOOK_S = 0.05
TIMES = 3
ALL = Duration(seconds=30)
NICE = 10  # its CPU load is not the fault


def lying(kind: type, field: str) -> bytes:
    """A small message whose array claims to have 2^31 - 1 elements."""
    values = array("B", b"\x03\x04\x05") if field == "data" else array("f", MARK)
    right = serialize_message(kind(**{field: values}))
    place = right.index(struct.pack("<I", len(values)) + values.tobytes())
    return right[:place] + struct.pack("<I", 2**31 - 1) + right[place + 4 :]


def main() -> None:
    """Flood every topic, wait until all has been acknowledged, and print so."""
    numbers = int(sys.argv[1])
    os.nice(NICE)
    rclpy.init()
    node = rclpy.create_node("flood", namespace="/rlt")
    publishers = [
        (kind, field, node.create_publisher(kind, topic, profile))
        for kind, topic, field, profile in TARGETS
    ]
    while not all(publisher.get_subscription_count() for *_, publisher in publishers):
        time.sleep(LOOK_S)
    for _ in sys.stdin:
        for kind, field, publisher in TIMES * publishers:
            octets = field == "data"
            values = array("B", bytes(10 * numbers)) if octets else array("f", bytes(4 * numbers))
            publisher.publish(kind(**{field: values}))
            publisher.publish(lying(kind, field))
            publisher.wait_for_all_acked(ALL)
        print("sent", flush=True)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
