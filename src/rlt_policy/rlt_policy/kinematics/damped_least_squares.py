"""Differential inverse kinematics by damped least squares, within the limits of the joints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rlt_policy.kinematics import LEVER_M, Solution, Vector
from rlt_policy.kinematics.checks import checked_orientation, checked_vector
from rlt_policy.kinematics.limits import JointLimits, require_limits
from rlt_policy.kinematics.model import KinematicModel

ITERATIONS = 3
HALVINGS = 6
SINGULAR = 0.02
"""Singular values below this are damped next to the set-point, and higher ones farther away."""
CLOSE = 1e-7
"""Weighted distance from the set-point, m, within which nothing moves."""
ROUNDING = 1e-9
"""A velocity limit is kept with this relative margin, so that rounding never exceeds it."""
Floats = list[float]
"""One value per joint: for so few, plain floats are several times faster than arrays."""
WEIGHTS = np.array([1.0, 1.0, 1.0, LEVER_M, LEVER_M, LEVER_M])


class DampedLeastSquares:
    """Inverse kinematics that slows down near singularities, where exact solutions would jump.

    The step is the least-squares solution of the linearised kinematics (Nakamura and Hanafusa,
    "Inverse kinematic solutions with singularity robustness for robot manipulator control", 1986).
    Only the directions in which the arm is nearly singular are damped, and more so the nearer it is
    (Chiaverini, "Singularity-robust task-priority redundancy resolution for real-time kinematic
    control of robot manipulators", 1997). This damping grows with the distance from the set-point
    (Sugihara, "Solvability-unconcerned inverse kinematics by the Levenberg-Marquardt method",
    2011), so that an arm that stretches out towards a set-point a little beyond its reach does not
    swing; towards one that is metres away it may, by a little.

    A step that is too fast for one joint is shortened for all, which keeps its direction. A joint
    that would leave its limits stops there and the others take over. Nothing moves that does not
    bring the tool nearer: an arm that cannot comes to rest. It has no memory: equal arguments give
    equal results. An exactly stretched-out arm does not find out of it by itself.
    """

    def __init__(self, model: KinematicModel, limits: JointLimits, dt: float) -> None:
        """Set up.

        Args:
            model: The arm.
            limits: Limits of its driven joints.
            dt: Control period, s.

        Raises:
            ValueError: If the period is not positive, or limits are missing, contradict themselves
                or are wider than the URDF's.
        """
        require_limits(model.joints, limits)
        if not 0.0 < dt < math.inf:
            raise ValueError(f"the control period is {dt:g} s: expected a positive one")
        self._model = model
        self._names = [joint.name for joint in model.joints]
        self._low, self._high = list(map(float, limits.low)), list(map(float, limits.high))
        self._longest = [speed * dt * (1.0 - ROUNDING) for speed in limits.velocity]

    def solve(self, joints: Vector, position: Vector, orientation: Vector) -> Solution:
        """Move the joints one tick towards a set-point of the tool; see `InverseKinematics`."""
        here = checked_vector("the joint position", joints, len(self._names)).tolist()
        place = checked_vector("the tool's position", position, 3)
        turn = self._model.rotation(checked_orientation("the tool's orientation", orientation))
        target, room = _Target(place, turn), self._room(here)
        error = self._error(here, target)
        inverse = _Inverse(WEIGHTS[:, None] * self._model.jacobian_here())
        for _ in range(ITERATIONS):
            if _length(error) < CLOSE:
                break
            step, share = _step(inverse, error, here, room)
            here, error = self._nearer(here, error, step, room, target)
            if share < 1.0:  # a joint is as fast as it may be: no step can follow
                break
        return Solution(
            np.array(here), _length(error[:3]), _length(error[3:]) / LEVER_M,
            self._limited(here), inverse.values[-1],
        )

    def _room(self, here: Floats) -> _Room:
        """Where the joints may go in this tick; from outside their limits only back."""
        return _Room(
            list(map(min, self._low, here)),
            list(map(max, self._high, here)),
            [value - longest for value, longest in zip(here, self._longest, strict=True)],
            [value + longest for value, longest in zip(here, self._longest, strict=True)],
        )

    def _error(self, joints: Floats, target: _Target) -> Vector:
        """Move the model, and return how far its tool is from the target: weighted, (6,), m."""
        self._model.move(joints)
        return WEIGHTS * self._model.difference(target.position, target.rotation)

    def _nearer(
        self, here: Floats, error: Vector, step: Floats, room: _Room, target: _Target
    ) -> tuple[Floats, Vector]:
        """Shorten a step until it brings the tool nearer.

        Returns:
            Joint positions and the error there; unchanged if no step does.
        """
        distance, share = _length(error), 1.0
        for _ in range(HALVINGS):
            there = room.nearest([a + share * b for a, b in zip(here, step, strict=True)])
            found = self._error(there, target)
            if _length(found) < distance:
                return there, found
            share *= 0.5
        return here, error

    def _limited(self, here: Floats) -> tuple[str, ...]:
        """Names of the joints at a limit."""
        joints = zip(self._names, here, self._low, self._high, strict=True)
        return tuple(
            name for name, value, low, high in joints
            if value < low + ROUNDING or value > high - ROUNDING
        )


class _Target(NamedTuple):
    """Where the tool shall be: position (3,), m, and rotation matrix (3, 3)."""

    position: Vector
    rotation: Vector


class _Room(NamedTuple):
    """Where the joints may be after this tick.

    Attributes:
        low, high: Their position limits.
        back, ahead: How far they come at their velocity limits.
    """

    low: Floats
    high: Floats
    back: Floats
    ahead: Floats

    def nearest(self, joints: Floats) -> Floats:
        """The nearest positions that are allowed."""
        return [
            min(max(value, low, back), high, ahead)
            for value, low, high, back, ahead in zip(joints, *self, strict=True)
        ]

    def share(self, here: Floats, step: Floats) -> float:
        """The largest share of a step, at most 1, with which no joint is too fast."""
        share = 1.0
        for value, move, back, ahead in zip(here, step, self.back, self.ahead, strict=True):
            if value + move > ahead:
                share = min(share, (ahead - value) / move)
            elif value + move < back:
                share = min(share, (back - value) / move)
        return share


class _Inverse:
    """Solves the linearised kinematics.

    Attributes:
        jacobian: Weighted (6, J).
        values: Its singular values, largest first.
    """

    def __init__(self, jacobian: Vector) -> None:
        """Decompose a Jacobian."""
        self.jacobian = jacobian
        self._left, values, self._right = np.linalg.svd(jacobian, full_matrices=False)
        self.values: Floats = values.tolist()

    def step(self, error: Vector, damping: float) -> Vector:
        """The step (J,) that reduces an error (6,).

        Singular values whose square is below `damping` are damped with the difference, as by
        Chiaverini: value / (value² + difference) is value / damping.
        """
        gains = [value / max(value**2, damping) for value in self.values]
        step: Vector = (gains * error.dot(self._left)).dot(self._right)
        return step


def _step(
    inverse: _Inverse, error: Vector, here: Floats, room: _Room
) -> tuple[Floats, float]:
    """A step from joint positions towards the target, as fast as the slowest joint allows.

    Joints that would leave their limits stop there; what they cannot do is left to the others.

    Returns:
        The step, and which share it is of what the error asks for.
    """
    damping = SINGULAR**2 + LEVER_M * _length(error)
    gradient = error.dot(inverse.jacobian).tolist()
    step, held, share = inverse.step(error, damping).tolist(), {}, 1.0
    while True:
        # As fast as allowed, then as far: a step that is too fast seems to cross every limit.
        shorter = room.share(here, step)
        share *= shorter
        step = [shorter * move for move in step]
        held = {index: step[index] for index in held}
        over = _beyond(here, step, gradient, room, held)
        if not over:
            return step, share
        held |= over
        step = _step_of_others(inverse, share * error, damping, held)


def _beyond(
    here: Floats, step: Floats, gradient: Floats, room: _Room, held: Mapping[int, float]
) -> dict[int, float]:
    """The joints that a step moves beyond a limit, and how far they are from it, by index.

    Only those whose own motion that way brings the tool nearer: to hold just these is what makes
    the rest of the step a descent (Bertsekas, "Projected Newton methods for optimization problems
    with simple constraints", 1982).
    """
    found = {}
    rows = zip(here, step, gradient, room.low, room.high, strict=True)
    for index, (value, move, slope, low, high) in enumerate(rows):
        if index not in held and not low <= value + move <= high and move * slope > 0.0:
            found[index] = (high if move > 0.0 else low) - value
    return found


def _step_of_others(
    inverse: _Inverse, error: Vector, damping: float, held: Mapping[int, float]
) -> Floats:
    """The step in which some joints move as stated and the others do what is left."""
    jacobian, fixed = inverse.jacobian.copy(), np.zeros(inverse.jacobian.shape[1])
    indices = list(held)
    fixed[indices] = list(held.values())
    jacobian[:, indices] = 0.0
    rest: Floats = _Inverse(jacobian).step(error - inverse.jacobian @ fixed, damping).tolist()
    return [held.get(index, move) for index, move in enumerate(rest)]


def _length(vector: Vector) -> float:
    return math.hypot(*vector.tolist())
