"""Messages that are too large or malformed never reach a node's callback."""

from __future__ import annotations

import re
import struct
import time
from array import array

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message

from rlt_interfaces.msg import HumanCommand, PolicyWeights
from rlt_node import qos
from rlt_node.node import FailFastNode
from rlt_node.size_limits import LARGEST, RECORD_BYTES

PATIENCE_S = 90.0


class Bench:
    """A `FailFastNode` that subscribes, and another node that sends it bytes."""

    def __init__(self, kind):
        rclpy.init()
        self.node, self.other = FailFastNode("listener"), rclpy.create_node("sender")
        self.executor = SingleThreadedExecutor()
        for each in (self.node, self.other):
            self.executor.add_node(each)
        self.heard = []
        self.node.create_subscription(kind, "bytes", self.heard.append, qos.BARRIER)
        self.publisher = self.other.create_publisher(kind, "bytes", qos.BARRIER)
        self.wait_for(self.publisher.get_subscription_count)

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        self.executor.shutdown()
        for each in (self.node, self.other):
            each.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def bench(request):
    made = Bench(request.param)
    yield made
    made.close()


def errors(printed):
    return [line for line in printed.splitlines() if "[ERROR]" in line]


@pytest.mark.parametrize("bench", [HumanCommand], indirect=True)
def test_messages_over_the_limit_are_dropped_and_said_once(bench, capfd):
    most = RECORD_BYTES // 4 - 100
    for number, count in enumerate((most, RECORD_BYTES // 4, 10 * RECORD_BYTES, 4)):
        values = array("f", bytes(4 * count))
        bench.publisher.publish(HumanCommand(sequence=number, increment=values))
    bench.wait_for(lambda: bench.heard and bench.heard[-1].sequence == 3)
    assert [message.sequence for message in bench.heard] == [0, 3]
    assert [len(message.increment) for message in bench.heard] == [most, 4]
    (line,) = errors(capfd.readouterr().err)
    expected = rf"bytes: received a HumanCommand of \d+ bytes, the limit is {RECORD_BYTES}"
    assert re.search(expected, line)
    assert bench.node.exit_reason is None


@pytest.mark.parametrize("bench", [HumanCommand], indirect=True)
def test_bytes_that_are_no_message_are_dropped_and_said_once(bench, capfd):
    right = serialize_message(HumanCommand(increment=[1.0, 2.0, 3.0]))
    place = right.index(struct.pack("<If", 3, 1.0))
    for length in (4, 2**29, 2**31 - 1, 2**32 - 1):  # claims gigabytes that are not there
        bench.publisher.publish(right[:place] + struct.pack("<I", length) + right[place + 4 :])
    bench.publisher.publish(b"")
    bench.publisher.publish(b"\x00\x01")
    bench.publisher.publish(HumanCommand(sequence=7))
    bench.wait_for(lambda: bench.heard and bench.heard[-1].sequence == 7)
    (line,) = errors(capfd.readouterr().err)
    assert f"bytes: received {len(right)} bytes that are not a HumanCommand" in line
    assert bench.node.exit_reason is None


@pytest.mark.parametrize("bench", [PolicyWeights], indirect=True)
def test_weights_may_be_larger_than_records(bench):
    assert LARGEST[PolicyWeights] > RECORD_BYTES
    bench.publisher.publish(PolicyWeights(data=bytes(2 * RECORD_BYTES)))
    bench.wait_for(lambda: bench.heard)
    assert len(bench.heard[0].data) == 2 * RECORD_BYTES
