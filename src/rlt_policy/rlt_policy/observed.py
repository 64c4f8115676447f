"""Whether it is the policy that is silent, or whoever should have given it something to answer."""

from __future__ import annotations

import math

UNOBSERVED_SECONDS = 0.2
ANSWER_SECONDS = 1.0  # of observations without an answer, before the policy is said to be silent


class Observed:
    """Notes when observations come; what they hold is the policy's affair."""

    def __init__(self) -> None:
        """Nothing was ever observed."""
        self._at = self._since = -math.inf

    def hear(self, now: float) -> None:
        """An observation has come at the monotonic time `now`, s."""
        if now - self._at > UNOBSERVED_SECONDS:
            self._since = now
        self._at = now

    def unanswerable(self, now: float) -> bool:
        """Whether observations that once came are missing now, or have only just come again."""
        if self._at == -math.inf:
            return False
        missing = now - self._at > UNOBSERVED_SECONDS
        return missing or now - self._since <= ANSWER_SECONDS
