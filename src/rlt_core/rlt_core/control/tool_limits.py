"""Motion limits of a tool with six degrees of freedom: norms, a box, and a cone of orientations.

A step is chosen so that a straight stop after it stays inside: the set-point moves on in the same
direction and slows down by the acceleration limit at every tick. Box and cone are convex, so the
way to such a stop is inside, too, and the next tick can always brake along it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import ToolGroup
from rlt_core.control.axis_limits import NOTICEABLE, longest_step
from rlt_core.control.rotations import Quaternion, between, turned
from rlt_core.robot.limits import Dynamics, RotationLimits, ToolLimits, TranslationLimits

Vector = NDArray[np.float64]
Place = TypeVar("Place")

HALVINGS = 30
"""Bisection steps between a step that is too long and braking; 1e-9 of the difference remains."""
LARGEST = 1e6
"""Larger requests and measurements, m or rad, count as this: their squares would overflow."""
EDGE = 1e-12
"""Rounding, m or rad, by which a stop may be outside."""


class _Motion(ABC, Generic[Place]):
    """A place that moves by steps (3,), each limited as a norm.

    Attributes:
        place: The set-point.
        step: float64 (3,), the step made last.
        velocity: Largest step per tick.
        max_tracking_error: Largest distance of the set-point from the measured place.
    """

    def __init__(self, limits: Dynamics, dt: float, place: Place) -> None:
        self.place = place
        self.step: Vector = np.zeros(3)
        self.velocity = limits.velocity * dt
        self.max_tracking_error = limits.max_tracking_error
        self._acceleration = limits.acceleration * dt * dt

    def start(self, place: Place) -> None:
        """Take a place as the set-point sent last, at rest."""
        self.place, self.step = place, np.zeros(3)

    def move(self, wish: Vector, measured: Place, limited: dict[str, None]) -> None:
        """Make the step nearest to a requested one (3,); adds limits that act to `limited`."""
        wanted = wish
        for name, allowed in (
            ("velocity", lambda step: shortened(step, self.velocity)),
            ("tracking_error", lambda step: self._near(step, measured)),
            ("workspace", self._inside),
            ("acceleration", self._smooth),
            ("workspace", lambda step: self._stoppable(step, measured)),
        ):
            step = allowed(wanted)
            if length_of(step - wanted) > NOTICEABLE * self.velocity:
                limited[name] = None
            wanted = step
        if not np.isfinite(wanted).all():
            limited["finite"] = None
            wanted = np.zeros(3)
        before = self.place
        self.place = self._kept(self.moved(before, wanted))
        self.step = self.way(before, self.place)

    # ---- Geometry -----------------------------------------------------------------------------

    @abstractmethod
    def moved(self, place: Place, step: Vector) -> Place:
        """The place after a step."""

    @abstractmethod
    def way(self, start: Place, end: Place) -> Vector:
        """The shortest step from one place to another."""

    @abstractmethod
    def _inside(self, step: Vector) -> Vector:
        """A step shortened where it leads towards the edge of the workspace."""

    @abstractmethod
    def _outside(self, place: Place) -> Vector:
        """How far a place is beyond each edge of the workspace; 0 inside."""

    @abstractmethod
    def _kept(self, place: Place) -> Place:
        """A place that rounding has put beyond the edge, on the edge."""

    # ---- Limits -------------------------------------------------------------------------------

    def _near(self, step: Vector, measured: Place) -> Vector:
        """A step shortened where it leads away from the measured place."""
        away = self.way(measured, self.place)
        return within(step, away, self.max_tracking_error, self.velocity, self._acceleration)

    def _smooth(self, step: Vector) -> Vector:
        """A step that the acceleration limit allows now, no longer than the velocity limit."""
        step = shortened(step, self.velocity)  # the way back to a tool that was moved is long
        return self.step + shortened(step - self.step, self._acceleration)

    def _stoppable(self, step: Vector, measured: Place) -> Vector:
        """The part of a change from braking to a step after which a stop stays inside.

        Where braking itself leads outside, since the robot started there or was moved, nothing may
        lead further.
        """
        brake = shortened(self.step, max(0.0, length_of(self.step) - self._acceleration))
        stops = self._beyond(self.place, measured), self._beyond(self._stop(brake), measured)
        allowed = np.maximum(*stops) + EDGE

        def fits(share: float) -> bool:
            stop = self._stop(brake + share * (step - brake))
            return bool((self._beyond(stop, measured) <= allowed).all())

        if fits(1.0):
            return step
        lowest, highest = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = 0.5 * (lowest + highest)
            lowest, highest = (middle, highest) if fits(middle) else (lowest, middle)
        return brake + lowest * (step - brake)

    def _beyond(self, place: Place, measured: Place) -> Vector:
        """How far a place is beyond the workspace and the tracking error; 0 inside."""
        error = length_of(self.way(measured, place))
        return np.append(self._outside(place), max(0.0, error - self.max_tracking_error))

    def _stop(self, step: Vector) -> Place:
        """Where the set-point stands if it brakes straight after a step."""
        length = length_of(step)
        if length == 0.0:
            return self.place
        slower = math.floor(length / self._acceleration)  # ticks of braking with motion left
        whole = (slower + 1) * length - self._acceleration * slower * (slower + 1) / 2.0
        return self.moved(self.place, step * (whole / length))


class _Translation(_Motion[Vector]):
    """Moves in a box, m."""

    def __init__(self, limits: TranslationLimits, dt: float) -> None:
        super().__init__(limits, dt, np.zeros(3))
        self._low, self._high = np.array(limits.min), np.array(limits.max)

    def moved(self, place: Vector, step: Vector) -> Vector:
        moved: Vector = place + step
        return moved

    def way(self, start: Vector, end: Vector) -> Vector:
        way: Vector = end - start
        return way

    def _inside(self, step: Vector) -> Vector:
        low, high = self._edges()
        room = np.where(step > 0.0, high - self.place, self.place - low)
        longest = [longest_step(each, self.velocity, self._acceleration) for each in room.tolist()]
        return np.clip(step, -np.array(longest), longest)

    def _outside(self, place: Vector) -> Vector:
        beyond: Vector = np.maximum(0.0, np.maximum(self._low - place, place - self._high))
        return beyond

    def _kept(self, place: Vector) -> Vector:
        return np.clip(place, *self._edges())

    def _edges(self) -> tuple[Vector, Vector]:
        """The box, so large that the set-point is in it."""
        return np.minimum(self._low, self.place), np.maximum(self._high, self.place)


class _Rotation(_Motion[Quaternion]):
    """Turns in a cone about a nominal orientation, rad."""

    def __init__(self, limits: RotationLimits, dt: float, nominal: Quaternion) -> None:
        super().__init__(limits, dt, nominal)
        self._nominal, self._cone = nominal, limits.cone

    def moved(self, place: Quaternion, step: Vector) -> Quaternion:
        return turned(place, step)

    def way(self, start: Quaternion, end: Quaternion) -> Vector:
        return between(start, end)

    def _inside(self, step: Vector) -> Vector:
        away, edge = between(self._nominal, self.place), max(self._cone, self._tilt(self.place))
        return within(step, away, edge, self.velocity, self._acceleration)

    def _outside(self, place: Quaternion) -> Vector:
        return np.array([max(0.0, self._tilt(place) - self._cone)])

    def _kept(self, place: Quaternion) -> Quaternion:
        tilt = self._tilt(place)
        if not self._cone < tilt <= self._cone + 2.0 * EDGE:
            return place
        return turned(self._nominal, between(self._nominal, place) * (self._cone / tilt))

    def _tilt(self, place: Quaternion) -> float:
        return length_of(between(self._nominal, place))


class ToolLimiter:
    """Keeps the set-point of a tool inside its limits; as `AxesLimiter`, for a `ToolGroup`.

    Attributes:
        max_increment: float64 (6,), SI: the largest increment of each axis by itself.
        max_step: float64 (2,), m and rad per tick.
        max_tracking_error: float64 (2,), m and rad.
    """

    def __init__(self, group: ToolGroup, limits: ToolLimits, dt: float) -> None:
        """Set up.

        Args:
            group: The tool.
            limits: Its limits.
            dt: Control period in seconds.
        """
        self._group = group
        self._translation = _Translation(limits.translation, dt)
        self._rotation = _Rotation(limits.rotation, dt, group.nominal)
        self.max_step = np.array([self._translation.velocity, self._rotation.velocity])
        self.max_increment = np.repeat(self.max_step, 3)
        self.max_tracking_error = np.array(
            [self._translation.max_tracking_error, self._rotation.max_tracking_error]
        )

    def start(self, position: Sequence[float]) -> list[float]:
        """Take the measured position (6,) as the set-point sent last, at rest, and return it."""
        place = np.array(position)
        self._translation.start(place[:3])
        self._rotation.start(self._group.orientation(place))
        return self._setpoint()

    def limit(
        self, wish: Sequence[float], measured: Sequence[float], limited: dict[str, None]
    ) -> tuple[list[float], list[float]]:
        """The next set-point and its increment; adds limits that act to `limited`.

        Args:
            wish: Requested increment (6,), SI, in the group's frame of increments.
            measured: Measured position (6,), SI.
            limited: Names of the limits that changed the request.
        """
        place, before = np.clip(measured, -LARGEST, LARGEST), self._rotation.place
        step = self._group.to_base(np.clip(wish, -LARGEST, LARGEST), before)
        self._translation.move(step[:3], place[:3], limited)
        self._rotation.move(step[3:], self._group.orientation(place), limited)
        made = np.concatenate([self._translation.step, self._rotation.step])
        return self._setpoint(), self._group.from_base(made, before).tolist()

    def _setpoint(self) -> list[float]:
        setpoint = self._group.position(self._translation.place, self._rotation.place)
        return [float(value) for value in setpoint]


def length_of(step: Vector) -> float:
    """Length of a step (3,); `math.hypot` neither overflows nor underflows."""
    return math.hypot(*step.tolist())


def shortened(step: Vector, longest: float) -> Vector:
    """A step of this direction, no longer than `longest`."""
    length = length_of(step)
    return step if length <= longest else step * (longest / length)


def within(
    step: Vector, away: Vector, edge: float, velocity: float, acceleration: float
) -> Vector:
    """A step shortened where it leads away from a centre, so that it can brake before the edge.

    Args:
        step: The step (3,).
        away: From the centre to the set-point (3,).
        edge: Largest distance from the centre; beyond it the step leads back.
        velocity: Largest step per tick.
        acceleration: Largest change of the step per tick.
    """
    distance = length_of(away)
    if distance == 0.0:
        return step
    outward = away / distance
    excess = float(step @ outward) - longest_step(edge - distance, velocity, acceleration)
    return step - max(0.0, excess) * outward
