"""The action vector: groups of named axes, and how positions and increments on them are composed.

A position is one float64 vector (A,) over all groups; an action is an increment of it. On most axes
an increment is a difference. The position of a `tool` group is a pose, x y z in m and the rotation
vector rx ry rz in rad from the group's nominal orientation to the tool's. Its increments compose as
rotations do: they are not differences of rotation vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.angles import near
from rlt_core.control.rotations import (
    IDENTITY,
    Quaternion,
    between,
    inverse,
    is_unit,
    rotate,
    turned,
)
from rlt_core.control.tool_pose import tool_quaternion
from rlt_core.control.tool_pose import tool_yaw as _yaw_of

Vector = NDArray[np.float64]

TOOL, TOOL_YAW, JOINTS, GRIPPER = "tool", "tool_yaw", "joints", "gripper"
KINDS = (TOOL, TOOL_YAW, JOINTS, GRIPPER)
TOOL_AXES = ("x", "y", "z", "rx", "ry", "rz")
TOOL_YAW_AXES = ("x", "y", "z", "yaw")
BASE, OWN = "base", "tool"
"""Frames in which the increments of a tool may be expressed: the base's, or the tool's own."""


@dataclass(frozen=True)
class ActionGroup:
    """Axes that one robot output drives; each is a number of its own, in SI units.

    Attributes:
        name: Name of the group, e.g. "arm" or "left_gripper".
        kind: `TOOL_YAW`, `JOINTS` or `GRIPPER`; for `TOOL` see `ToolGroup`.
        names: Names of its axes, unique among all groups.
        units: SI unit of each axis: "m", "rad", or "1" for a gripper's opening from 0 to 1.
        frame: Frame in which a tool's pose is expressed; without meaning for joints and grippers.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    frame: str = "base_link"

    @property
    def size(self) -> int:
        """Number of axes."""
        return len(self.names)

    @functools.cached_property
    def circular(self) -> tuple[bool, ...]:
        """Which axes are angles on a circle: the yaw of a tool.

        Joints are not: drivers count their turns, and limits distinguish one turn from another.
        """
        return tuple(self.kind == TOOL_YAW and unit == "rad" for unit in self.units)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the M distances between two positions: one per axis."""
        return self.names

    def add(self, position: Vector, increment: Vector) -> Vector:
        """The position (A,) after an increment (A,)."""
        return position + increment

    def difference(self, position: Vector, start: Vector) -> Vector:
        """The increment (A,) that leads from `start` to `position`, the short way round."""
        way: Vector = position - start
        for index, turns in enumerate(self.circular):
            if turns:
                origin = float(start[index])
                way[index] = near(float(position[index]), origin) - origin
        return way

    def distances(self, position: Vector, other: Vector) -> Vector:
        """How far two positions (A,) are apart, float64 (M,), by `measures`."""
        return np.abs(self.difference(position, other))


@dataclass(frozen=True)
class ToolYawGroup(ActionGroup):
    """A tool that points down: x, y, z, and the yaw about the vertical."""

    def __post_init__(self) -> None:
        """Check what the axes mean.

        Raises:
            ValueError: If there are not four axes.
        """
        _require_axes(self, TOOL_YAW_AXES)

    def position(self, place: Sequence[float] | Vector, orientation: Quaternion) -> Vector:
        """Position (4,) of a tool at a place (3,), m, with an orientation."""
        return np.array([*place, _yaw_of(*orientation)])

    def orientation(self, position: Vector) -> Quaternion:
        """Orientation of the tool at a position (4,)."""
        return tool_quaternion(float(position[3]))


@dataclass(frozen=True)
class ToolGroup(ActionGroup):
    """A tool with six degrees of freedom.

    Attributes:
        increments: Frame of its increments: `BASE`, or `OWN`, that of the tool before each one.
        nominal: Orientation from which rx, ry, rz count, a unit quaternion x, y, z, w in `frame`.
    """

    increments: str = BASE
    nominal: Quaternion = IDENTITY

    def __post_init__(self) -> None:
        """Check what the axes mean.

        Raises:
            ValueError: If there are not six axes, or a frame or the nominal orientation is invalid.
        """
        _require_axes(self, TOOL_AXES)
        if self.increments not in (BASE, OWN):
            raise ValueError(
                f"increments of group {self.name} is {self.increments!r}: expected {BASE} or {OWN}"
            )
        if not is_unit(self.nominal):
            raise ValueError(
                f"nominal of group {self.name} is {list(self.nominal)}: expected a unit quaternion "
                "x, y, z, w"
            )

    @property
    def measures(self) -> tuple[str, ...]:
        """A distance in m and an angle in rad."""
        return (f"{self.name} translation", f"{self.name} rotation")

    def position(self, place: Sequence[float] | Vector, orientation: Quaternion) -> Vector:
        """Position (6,) of a tool at a place (3,), m, with an orientation."""
        return np.concatenate([place, between(self.nominal, orientation)])

    def orientation(self, position: Vector) -> Quaternion:
        """Orientation of the tool at a position (6,)."""
        return turned(self.nominal, position[3:])

    def to_base(self, increment: Vector, orientation: Quaternion) -> Vector:
        """An increment (6,) of a tool with this orientation, expressed in the base frame."""
        return self._turned(increment, orientation)

    def from_base(self, increment: Vector, orientation: Quaternion) -> Vector:
        """Inverse of `to_base`."""
        return self._turned(increment, inverse(orientation))

    def add(self, position: Vector, increment: Vector) -> Vector:
        """The position (6,) after an increment (6,)."""
        before = self.orientation(position)
        step = self.to_base(increment, before)
        return self.position(position[:3] + step[:3], turned(before, step[3:]))

    def difference(self, position: Vector, start: Vector) -> Vector:
        """The increment (6,) that leads from `start` to `position`, the short way round."""
        before = self.orientation(start)
        rotation = between(before, self.orientation(position))
        return self.from_base(np.concatenate([position[:3] - start[:3], rotation]), before)

    def distances(self, position: Vector, other: Vector) -> Vector:
        """Distance in m and angle in rad between two positions (6,): float64 (2,)."""
        way = self.difference(position, other)
        return np.array([np.linalg.norm(way[:3]), np.linalg.norm(way[3:])])

    def _turned(self, increment: Vector, rotation: Quaternion) -> Vector:
        if self.increments == BASE:
            return increment
        return np.concatenate([rotate(rotation, increment[:3]), rotate(rotation, increment[3:])])


@dataclass(frozen=True)
class ActionSpace:
    """The groups of an action vector, in its order.

    Attributes:
        groups: The groups; their axes make up the vector.
    """

    groups: tuple[ActionGroup, ...]

    def __post_init__(self) -> None:
        """Check that every name means one thing.

        Raises:
            ValueError: If a group or an axis occurs twice, or a group's units do not fit.
        """
        for what, names in (
            ("group", [group.name for group in self.groups]), ("axis", list(self.names)),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"action {what} {', '.join(twice)} occurs twice: rename one")
        for group in self.groups:
            if len(group.units) != group.size:
                raise ValueError(
                    f"action group {group.name} has {group.size} axes and {len(group.units)} units"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the A axes."""
        return tuple(name for group in self.groups for name in group.names)

    @property
    def units(self) -> tuple[str, ...]:
        """SI unit of each axis."""
        return tuple(unit for group in self.groups for unit in group.units)

    @property
    def size(self) -> int:
        """Number of axes, A."""
        return sum(group.size for group in self.groups)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the M distances between two positions."""
        return tuple(name for group in self.groups for name in group.measures)

    @functools.cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each group's axes are in the vector."""
        ends = np.cumsum([group.size for group in self.groups]).tolist()
        return tuple(
            slice(end - group.size, end) for group, end in zip(self.groups, ends, strict=True)
        )

    def add(self, position: Vector, increment: Vector) -> Vector:
        """The position (A,) after an increment (A,)."""
        return self._by_group("add", position, increment)

    def difference(self, position: Vector, start: Vector) -> Vector:
        """The increment (A,) that leads from `start` (A,) to `position` (A,)."""
        return self._by_group("difference", position, start)

    def distances(self, position: Vector, other: Vector) -> Vector:
        """How far two positions (A,) are apart, float64 (M,), by `measures`."""
        return self._by_group("distances", position, other)

    def _by_group(self, operation: str, one: Vector, other: Vector) -> Vector:
        if len(self.groups) == 1:  # most robots; this is called at every tick
            only: Vector = getattr(self.groups[0], operation)(one, other)
            return only
        return np.concatenate([
            getattr(group, operation)(one[part], other[part])
            for group, part in zip(self.groups, self.slices, strict=True)
        ])


def group_from(values: Mapping[str, Any]) -> ActionGroup:
    """Make a group of its fields, as JSON holds them.

    Raises:
        ValueError: If its kind is unknown or it is invalid.
        TypeError: If a field is missing or unknown.
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    kind = fields.get("kind")
    if kind == TOOL:
        return ToolGroup(**fields)
    if kind == TOOL_YAW:
        return ToolYawGroup(**fields)
    if kind in KINDS:
        return ActionGroup(**fields)
    raise ValueError(f"kind of an action group is {kind!r}: expected one of {', '.join(KINDS)}")


def joints(name: str, names: Sequence[str], units: Sequence[str] = ()) -> ActionGroup:
    """A group of joints; they are in rad unless units are given."""
    return ActionGroup(name, JOINTS, tuple(names), tuple(units) or ("rad",) * len(names))


def tool_yaw(name: str = "arm", frame: str = "base_link", prefix: str = "") -> ToolYawGroup:
    """A tool that points down and turns about the vertical."""
    names = tuple(prefix + axis for axis in TOOL_YAW_AXES)
    return ToolYawGroup(name, TOOL_YAW, names, ("m", "m", "m", "rad"), frame)


def tool(
    name: str = "arm",
    frame: str = "base_link",
    increments: str = BASE,
    nominal: Quaternion = IDENTITY,
    prefix: str = "",
) -> ToolGroup:
    """A tool with six degrees of freedom."""
    names = tuple(prefix + axis for axis in TOOL_AXES)
    units = ("m", "m", "m", "rad", "rad", "rad")
    return ToolGroup(name, TOOL, names, units, frame, increments, nominal)


def gripper(name: str = "gripper") -> ActionGroup:
    """A gripper: its opening from 0, closed, to 1, open."""
    return ActionGroup(name, GRIPPER, (name,), ("1",))


def _require_axes(group: ActionGroup, expected: Sequence[str]) -> None:
    if group.size != len(expected):
        raise ValueError(
            f"{group.kind} group {group.name} has {group.size} axes ({', '.join(group.names)}): "
            f"expected {len(expected)}, in the order of {', '.join(expected)}"
        )
