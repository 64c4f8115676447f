"""Whether the robot does what it is told: one that hears and does not move executes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlt_core.circle import all_near

Vector = NDArray[np.float64]

STRETCHED = 0.9
"""From this share of the leash on, a set-point is one that the robot should have followed."""
MOVED = 0.1
"""A robot that has moved by this share of the leash follows."""
PATIENCE_S = 1.0
"""How long an unmoved robot may have the set-point at the end of its leash."""


class Response:
    """Notices a robot that does not follow from the start: disabled, braked, in an emergency stop.

    Once it has moved it is believed until the next start: whoever presses a plug into a socket
    stands still, too.

    Args:
        leash: (A,), SI, largest distance of set-point and measured position.
        circular: Which axes are angles on a circle.
        dt: Control period in seconds.

    Attributes:
        still: Whether the robot has failed to follow.
    """

    def __init__(self, leash: Vector, circular: Sequence[bool], dt: float) -> None:
        self.still = False
        self._leash = leash
        self._circular = circular
        self._patience = round(PATIENCE_S / dt)
        self._start: Vector | None = None
        self._ticks = 0

    def begin(self, measured: Vector) -> None:
        """Note where the robot stands, (A,), SI, before it is told anything."""
        self.still, self._start, self._ticks = False, measured, 0

    def see(self, setpoint: Vector, measured: Vector) -> None:
        """Note a tick's set-point and where the robot is, both (A,), SI."""
        if self._start is None:
            return
        if (self._away(measured, self._start) > MOVED * self._leash).any():
            self.still, self._start = False, None
            return
        stretched = (self._away(measured, setpoint) > STRETCHED * self._leash).any()
        self._ticks = self._ticks + 1 if stretched else 0
        self.still = self.still or self._ticks > self._patience

    def _away(self, place: Vector, other: Vector) -> Vector:
        return np.abs(all_near(place, other, self._circular) - other)
