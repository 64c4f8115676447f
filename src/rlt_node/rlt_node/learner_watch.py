"""Whether the learner lives and teaches, as those see it who act on its weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rlt_interfaces.msg import LearnerStatus
from rlt_node import qos

SILENT_SECONDS = 5.0
"""The learner tells something every second; a busy machine or link may delay that."""


class LearnerWatch:
    """Hears the learner's status. No robot waits for it; a person should know.

    Attributes:
        status: What the learner said last, None before its first word.
    """

    def __init__(self, node: Any, changed: Callable[[], None] = lambda: None) -> None:
        """Subscribe.

        Args:
            node: The node that listens.
            changed: Called after each word of the learner.
        """
        self.status: LearnerStatus | None = None
        self._changed = changed
        self._heard = 0.0
        node.create_subscription(LearnerStatus, "learner_status", self._on_status, qos.LATCHED)

    def trouble(self, version: int) -> str:
        """Why no better weights come, empty if nothing is known to be wrong.

        Args:
            version: Version of the weights that act.
        """
        if self.status is None:
            return ""
        silence = time.monotonic() - self._heard
        if silence > SILENT_SECONDS:
            return f"learner silent for {silence:.0f} s, acting on weights v{version}"
        return f"learner: {self.status.trouble}" if self.status.trouble else ""

    def _on_status(self, message: LearnerStatus) -> None:
        self.status, self._heard = message, time.monotonic()
        self._changed()
