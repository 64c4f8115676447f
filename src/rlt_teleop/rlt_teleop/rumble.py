"""Answers as rumble: one short pulse for applied, two for refused."""

from __future__ import annotations

PULSE_S = 0.15
PAUSE_S = 0.15
INTENSITY = 0.7


class Rumble:
    """A queue of pulses. A device's own rumble lasts too long, so each is ended explicitly."""

    def __init__(self) -> None:
        self._plan: list[tuple[float, float]] = []

    def answer(self, applied: bool, now: float) -> None:
        """Begin the pulses of an answer at monotonic time `now` in s; they replace earlier ones."""
        starts = [now] if applied else [now, now + PULSE_S + PAUSE_S]
        self._plan = [
            step for start in starts for step in ((start, INTENSITY), (start + PULSE_S, 0.0))
        ]

    def due(self, now: float) -> float | None:
        """The intensity to set at monotonic time `now`; None if nothing changes."""
        intensity = None
        while self._plan and self._plan[0][0] <= now:
            _, intensity = self._plan.pop(0)
        return intensity
