"""Messages that are too large, or none at all: dropped before anything is made of their bytes.

A message is taken as the bytes that came and measured; only then is it made into a message. So a
sender that is wrong by a factor of a million costs a copy, not the node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from rlt_interfaces.msg import Observation, PolicyWeights
from rlt_node.notices import Notices

RECORD_BYTES = 1 << 20
"""More than a hundred times a chunk, a transition, a command or a state of this suite."""
LARGEST: dict[type, int] = {PolicyWeights: 1 << 26}
"""Other limits: an actor of 16 million numbers."""
QUIET_SECONDS = 60.0
"""After so long without one, the next message that is dropped is news."""
UNLIMITED = (Image, Observation)
"""Images are as large as their camera has them, and are not copied once more to be measured."""


class Bounded:
    """The callback of a raw subscription, in front of that of an ordinary one.

    Attributes:
        dropped: Messages that were dropped.
    """

    def __init__(
        self, kind: type, topic: str, callback: Callable[[Any], Any], notices: Notices
    ) -> None:
        """Begin with nothing dropped.

        Args:
            kind: Class of the messages.
            topic: Name of the topic, for the sentence.
            callback: Called with each message that is one.
            notices: Say what is wrong, once while it goes on.
        """
        self.dropped = 0
        self._kind = kind
        self._topic = topic
        self._callback = callback
        self._notices = notices
        self._largest = LARGEST.get(kind, RECORD_BYTES)

    def __call__(self, data: bytes) -> None:
        """Hand a message on, or drop it."""
        name = self._kind.__name__
        if len(data) > self._largest:
            self._drop("large", f"a {name} of {len(data)} bytes came, at most {self._largest} fit")
            return
        try:
            message = deserialize_message(data, self._kind)
        except Exception as error:  # whatever the middleware makes of such bytes
            self._drop("malformed", f"{len(data)} bytes came that are no {name} ({error})")
            return
        self._callback(message)

    def _drop(self, code: str, finding: str) -> None:
        self.dropped += 1
        self._notices.tell(
            self._topic, code,
            f"{self._topic}: {finding}: dropped, and so are those like it; end its sender, which "
            "`ros2 topic info --verbose` names",
            time.monotonic(),
        )
