"""How a robot that takes velocities follows set-points, and never runs away from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlt_core.records import ControlStep, Source
from rlt_core.settings import GuardSettings

Vector = NDArray[np.float64]

GAIN = 5.0
"""Speed towards the set-point per distance from it, 1/s: calm for delays up to 0.1 s."""


class Following:
    """Turns set-points into velocities, closed over the measured position.

    A hold only slows down what was commanded before, whatever is measured: a robot that is pushed,
    or whose state is wrong, is not driven by it. Else the velocity is the set-point's own, plus
    `GAIN` times the distance to it. The guard lets the set-point follow a robot that is a leash
    ahead of it; that motion of the robot's must not drive it further, so the set-point's velocity
    counts the less, the further the robot is ahead, and a leash ahead not at all: there every
    velocity points back.

    Args:
        limits: Velocity and acceleration limits and leash of the axes.
        dt: Control period in seconds.
    """

    def __init__(self, limits: GuardSettings, dt: float) -> None:
        self._fastest = np.array(limits.velocity)
        self._change = np.array(limits.acceleration) * dt
        self._leash = np.array(limits.leash)
        self._dt = dt
        self._velocity = np.zeros(len(limits.velocity))

    def rest(self) -> None:
        """Note that the robot has come to rest by itself."""
        self._velocity = np.zeros_like(self._velocity)

    def velocity(self, step: ControlStep, measured: Vector) -> Vector:
        """The velocity of a tick, float64 (A,), SI per second, within the limits.

        Args:
            step: What the guard let through.
            measured: (A,), SI, finite: where the robot is.
        """
        wanted = np.zeros_like(self._velocity)
        if step.source is not Source.HOLD:
            own = np.asarray(step.increment, np.float64) / self._dt
            away = step.setpoint - measured
            share = np.clip(1.0 + np.sign(own) * away / self._leash, 0.0, 1.0)
            wanted = np.clip(share * own + GAIN * away, -self._fastest, self._fastest)
        self._velocity = self._velocity + np.clip(
            wanted - self._velocity, -self._change, self._change
        )
        return self._velocity
