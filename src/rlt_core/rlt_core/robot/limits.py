"""Motion limits of action groups; there are no defaults, since no limit is ever guessed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from rlt_core.robot.entries import Entry, Number, Positive, Triple

LONGEST_STOP_S = 1.0
"""A hold must stop the robot: limits with which braking takes longer are rejected."""


class Dynamics(Entry):
    """How fast a set-point may move, and how far it may be from the measured position."""

    velocity: Positive = Field(description="largest speed per second", examples=[0.05])
    acceleration: Positive = Field(description="largest acceleration per second^2", examples=[5.0])
    max_tracking_error: Positive = Field(
        description="largest distance from the measured position", examples=[0.006]
    )

    @model_validator(mode="after")
    def _stops_in_time(self) -> Dynamics:
        if self.velocity / self.acceleration > LONGEST_STOP_S:
            raise ValueError(
                f"Input should brake from full speed within {LONGEST_STOP_S:g} s: raise "
                "acceleration or lower velocity"
            )
        return self


class AxisLimits(Dynamics):
    """Limits of one axis: m, rad, or 1 for a gripper's opening."""

    min: Number = Field(description="lowest set-point", examples=[-1.6])
    max: Number = Field(description="highest set-point", examples=[1.6])

    @model_validator(mode="after")
    def _has_room(self) -> AxisLimits:
        if not self.min < self.max:
            raise ValueError("Input should have min below max")
        return self


def column(limits: Mapping[str, AxisLimits], name: str) -> NDArray[np.float64]:
    """One limit of each axis, float64 (n,), in the order of the axes."""
    return np.array([getattr(axis, name) for axis in limits.values()])


class TranslationLimits(Dynamics):
    """Limits of a tool's place: a box, and norms in m/s, m/s^2 and m."""

    min: Triple = Field(description="lowest x, y, z, m", examples=[[0.25, -0.15, 0.0]])
    max: Triple = Field(description="highest x, y, z, m", examples=[[0.75, 0.15, 0.4]])

    @model_validator(mode="after")
    def _has_room(self) -> TranslationLimits:
        if not all(low < high for low, high in zip(self.min, self.max, strict=True)):
            raise ValueError("Input should have min below max for each of x, y, z")
        return self


class RotationLimits(Dynamics):
    """Limits of a tool's orientation: a cone about the nominal one; rad/s, rad/s^2 and rad.

    A cone of less than a quarter turn is convex: the shortest way between two orientations in it
    does not leave it.
    """

    cone: Positive = Field(
        description="largest angle to the nominal orientation, rad", lt=1.57, examples=[0.5]
    )


class ToolLimits(Entry):
    """Limits of a tool with six degrees of freedom."""

    translation: TranslationLimits = Field(description="limits of its place")
    rotation: RotationLimits = Field(description="limits of its orientation")
