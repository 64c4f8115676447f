"""Whether the learner is alive and training, as seen by nodes that act on its weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rlt_interfaces.msg import LearnerStatus
from rlt_node import qos

SILENT_SECONDS = 5.0
"""The learner publishes every second; a busy machine or link may delay that."""


class LearnerWatch:
    """Receives the learner's status. No robot waits for it, but a person should know.

    Attributes:
        status: The learner's newest status, None before the first one.
    """

    def __init__(self, node: Any, changed: Callable[[], None] = lambda: None) -> None:
        """Subscribe.

        Args:
            node: The node that subscribes.
            changed: Called after each status of the learner.
        """
        self.status: LearnerStatus | None = None
        self._changed = changed
        self._heard = 0.0
        node.create_subscription(LearnerStatus, "learner_status", self._on_status, qos.LATEST)

    def fault(self, version: int) -> str:
        """Why no better weights arrive; empty without a known fault.

        Args:
            version: Weights version in use.
        """
        if self.status is None:
            return ""
        silence = time.monotonic() - self._heard
        if silence > SILENT_SECONDS:
            return f"learner silent for {silence:.0f} s, acting on weights v{version}"
        return f"learner: {self.status.fault}" if self.status.fault else ""

    def _on_status(self, message: LearnerStatus) -> None:
        self.status, self._heard = message, time.monotonic()
        self._changed()
