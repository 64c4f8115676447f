"""Makes a robot that takes velocities follow set-points, and never run away from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rlt_core.records import ControlStep, Source
from rlt_core.robot.limits import AxisLimits, column

Vector = NDArray[np.float64]

GAIN = 5.0
"""Speed towards the set-point per distance from it, 1/s: calm for delays up to 0.1 s."""


class Following:
    """Turns set-points into velocities, in closed loop over the measured position.

    A hold only decelerates what was commanded before, whatever is measured: it does not drive a
    robot that is pushed or whose state is wrong. Otherwise the velocity is the set-point's own,
    plus `GAIN` times the distance to it. The motion limits let the set-point follow a robot that is
    `max_tracking_error` ahead of it. This motion of the robot must not drive it further: the
    further the robot is ahead, the less the set-point's velocity counts, and at
    `max_tracking_error` not at all: there every velocity points back.
    """

    def __init__(self, limits: Mapping[str, AxisLimits], dt: float) -> None:
        """Set up.

        Args:
            limits: Limits of the A axes, in their order.
            dt: Control period in seconds.
        """
        self._fastest = column(limits, "velocity")
        self._change = column(limits, "acceleration") * dt
        self._max_tracking_error = column(limits, "max_tracking_error")
        self._dt = dt
        self._velocity = np.zeros(len(limits))

    def rest(self) -> None:
        """Note that the robot has come to rest by itself."""
        self._velocity = np.zeros_like(self._velocity)

    def velocity(self, step: ControlStep, measured: Vector) -> Vector:
        """The velocity of a tick, float64 (A,), SI per second, within the limits.

        Args:
            step: The control step, within the motion limits.
            measured: (A,), SI, finite: where the robot is.
        """
        wanted = np.zeros_like(self._velocity)
        if step.source is not Source.HOLD:
            own = np.asarray(step.increment, np.float64) / self._dt
            away = step.setpoint - measured
            share = np.clip(1.0 + np.sign(own) * away / self._max_tracking_error, 0.0, 1.0)
            wanted = np.clip(share * own + GAIN * away, -self._fastest, self._fastest)
        self._velocity = self._velocity + np.clip(
            wanted - self._velocity, -self._change, self._change
        )
        return self._velocity
