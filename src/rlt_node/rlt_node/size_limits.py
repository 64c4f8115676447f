"""Drops malformed messages, and too large ones before their bytes are deserialised.

A subscription receives the bytes and checks their number; only then are they deserialised. A sender
that is wrong by a factor of a million thus costs a copy, not the node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from rlt_interfaces.msg import Observation, PolicyWeights
from rlt_node.fault_log import Fault, FaultLog

RECORD_BYTES = 1 << 20
"""More than a hundred times the size of a chunk, a transition, a command or a state here."""
LARGEST: dict[type, int] = {PolicyWeights: 1 << 26}
"""Other limits: an actor of 16 million parameters."""
QUIET_SECONDS = 60.0
"""After this time without a dropped message, the next one is logged again."""
UNLIMITED = (Image, Observation)
"""Images are as large as the camera makes them, and are not copied again for this check."""


class Bounded:
    """The callback of a raw subscription; calls the node's callback with valid messages.

    Attributes:
        dropped: Messages that were dropped.
    """

    def __init__(
        self, kind: type, topic: str, callback: Callable[[Any], Any], fault_log: FaultLog
    ) -> None:
        """Start with no dropped messages.

        Args:
            kind: Class of the messages.
            topic: Name of the topic, for the log.
            callback: Called with each valid message.
            fault_log: Logs a fault once while it lasts.
        """
        self.dropped = 0
        self._kind = kind
        self._topic = topic
        self._callback = callback
        self._fault_log = fault_log
        self._largest = LARGEST.get(kind, RECORD_BYTES)

    def __call__(self, data: bytes) -> None:
        """Pass a message on, or drop it."""
        name = self._kind.__name__
        if len(data) > self._largest:
            self._drop("large", f"a {name} of {len(data)} bytes, the limit is {self._largest}")
            return
        try:
            message = deserialize_message(data, self._kind)
        except Exception as error:  # the middleware may raise anything for such bytes
            self._drop("malformed", f"{len(data)} bytes that are not a {name} ({error})")
            return
        self._callback(message)

    def _drop(self, code: str, reason: str) -> None:
        self.dropped += 1
        message = (
            f"{self._topic}: received {reason}: dropped, like all further ones; stop its sender, "
            "which `ros2 topic info --verbose` names"
        )
        self._fault_log.report(Fault(code, self._topic, message), time.monotonic())
