"""Whether the policy itself is silent, or has no observations to answer."""

from __future__ import annotations

import math

UNOBSERVED_SECONDS = 0.2
ANSWER_SECONDS = 1.0  # of observations without an answer, before the policy counts as silent


class ObservationWatch:
    """Notes when observations arrive; their content is not checked here."""

    def __init__(self) -> None:
        """Start without an observation."""
        self._at = self._since = -math.inf

    def hear(self, now: float) -> None:
        """Note an observation that arrived at the monotonic time `now`, s."""
        if now - self._at > UNOBSERVED_SECONDS:
            self._since = now
        self._at = now

    def unanswerable(self, now: float) -> bool:
        """Whether observations stopped after they had begun, or have only just resumed."""
        if self._at == -math.inf:
            return False
        missing = now - self._at > UNOBSERVED_SECONDS
        return missing or now - self._since <= ANSWER_SECONDS
