"""The policy's computation time, compared with the run's planning delay."""

from __future__ import annotations

from rlt_node.rates import Spread

TIMED_CHUNKS = 200


class Latency:
    """Wall time of the newest chunks' computations."""

    def __init__(self, rate_hz: float, planned_ticks: int) -> None:
        """Set up.

        Args:
            rate_hz: Control rate, Hz.
            planned_ticks: The run's planning delay, control ticks.
        """
        self.spread = Spread(TIMED_CHUNKS)
        self._rate_hz = rate_hz
        self._planned_ticks = planned_ticks

    def values(self) -> dict[str, float]:
        """p50, p95 and max in ms and in control ticks."""
        milliseconds = self.spread.summary("inference_ms", 1e3)
        return milliseconds | self.spread.summary("inference_ticks", self._rate_hz)

    def excess(self) -> str:
        """What to do about chunks that are late; empty if they are not."""
        needed = self.spread.p95 * self._rate_hz
        if not needed > self._planned_ticks:
            return ""
        return (
            f"inference takes {needed:.1f} ticks (p95), more than planning_delay_ticks "
            f"{self._planned_ticks}: chunks are late; raise it or speed up the policy"
        )
