"""Whether the robot follows its set-points: if it does not move, nothing is executed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import ActionSpace

Vector = NDArray[np.float64]

STRETCHED = 0.9
"""Above this share of `max_tracking_error` the robot should have followed the set-point."""
MOVED = 0.1
"""A robot that has moved by this share of `max_tracking_error` follows."""
PATIENCE_S = 1.0
"""How long the set-point may be that far away from a robot that has not moved."""


class Response:
    """Detects a robot that does not follow from the start: disabled, braked, emergency stop.

    Once it has moved it is trusted until the next start: a robot that pushes a plug into a socket
    also stands still.

    Attributes:
        still: Whether the robot has failed to follow.
    """

    def __init__(self, space: ActionSpace, max_tracking_error: Vector, dt: float) -> None:
        """Set up.

        Args:
            space: The action axes.
            max_tracking_error: (M,), SI, largest distance of set-point and measured position, by
                the space's `measures`.
            dt: Control period in seconds.
        """
        self.still = False
        self._space = space
        self._max_tracking_error = max_tracking_error
        self._patience = round(PATIENCE_S / dt)
        self._start: Vector | None = None
        self._ticks = 0

    def begin(self, measured: Vector) -> None:
        """Note the robot's position, (A,), SI, before the first command."""
        self.still, self._start, self._ticks = False, measured, 0

    def see(self, setpoint: Vector, measured: Vector) -> None:
        """Note a tick's set-point and measured position, both (A,), SI."""
        if self._start is None:
            return
        if (self._space.distances(measured, self._start) > MOVED * self._max_tracking_error).any():
            self.still, self._start = False, None
            return
        away = self._space.distances(measured, setpoint)
        stretched = (away > STRETCHED * self._max_tracking_error).any()
        self._ticks = self._ticks + 1 if stretched else 0
        self.still = self.still or self._ticks > self._patience


class GroupResponses:
    """The responses of all groups: an arm that does not follow is detected beside one that does."""

    def __init__(self, space: ActionSpace, max_tracking_error: Vector, dt: float) -> None:
        """Set up; see `Response`."""
        self._slices = space.slices
        ends = np.cumsum([len(group.measures) for group in space.groups]).tolist()
        self._responses = [
            Response(
                ActionSpace((group,)),
                max_tracking_error[end - len(group.measures) : end],
                dt,
            )
            for group, end in zip(space.groups, ends, strict=True)
        ]

    @property
    def still(self) -> bool:
        """Whether a group has failed to follow."""
        return any(response.still for response in self._responses)

    def begin(self, measured: Vector) -> None:
        """Note the robot's position, (A,), SI, before the first command."""
        for response, part in zip(self._responses, self._slices, strict=True):
            response.begin(measured[part])

    def see(self, setpoint: Vector, measured: Vector) -> None:
        """Note a tick's set-point and measured position, both (A,), SI."""
        for response, part in zip(self._responses, self._slices, strict=True):
            response.see(setpoint[part], measured[part])
