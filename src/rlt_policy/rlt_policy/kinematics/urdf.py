"""Reads the joints of a URDF, and writes the few of them that matter as a URDF for MuJoCo."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from rlt_policy.kinematics import Triple

MOVING = ("revolute", "continuous", "prismatic")
"""Kinds of joints with one axis."""


@dataclass(frozen=True)
class Joint:
    """A joint as the URDF states it.

    Attributes:
        name: Its name.
        kind: Its type, such as "revolute".
        parent: Link that it is fixed to.
        child: Link that it moves.
        xyz: Where it is in the parent's frame, m.
        rpy: How it is turned there, rad.
        axis: Unit vector that it turns about or moves along, in its own frame.
        low: Lowest position, rad or m; minus infinity if none is stated.
        high: Highest position, rad or m; infinity if none is stated.
        velocity: Highest speed, rad/s or m/s; infinity if none is stated.
        mimics: Name of the joint that it follows, empty if it moves by itself.
    """

    name: str
    kind: str
    parent: str
    child: str
    xyz: Triple
    rpy: Triple
    axis: Triple
    low: float
    high: float
    velocity: float
    mimics: str


def read_joints(urdf: str) -> dict[str, Joint]:
    """Read all joints of a URDF, by name.

    Meshes, masses and everything else are ignored, so that no file that the URDF names is needed.

    Raises:
        ValueError: If it is no URDF, or a joint is incomplete.
    """
    try:
        robot = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise ValueError(
            f"the robot description is not XML ({error}): expected the text of a URDF"
        ) from error
    if robot.tag != "robot":
        raise ValueError(
            f"the robot description is a <{robot.tag}>: expected a URDF, which is a <robot>"
        )
    joints = [_joint(element) for element in robot.findall("joint")]
    for words in ("name", "child"):
        values = [getattr(joint, words) for joint in joints]
        for value in values:
            if values.count(value) > 1:
                raise ValueError(
                    f"two joints of the URDF have the {words} {value!r}: expected one, so that "
                    "links form a tree; correct the URDF"
                )
    return {joint.name: joint for joint in joints}


def chain(joints: Mapping[str, Joint], base: str, tip: str) -> tuple[list[Joint], list[Joint]]:
    """Find the joints between two links.

    Returns:
        The joints from the last link that both have in common to the base link, and those from
        there to the tip link. The former are empty if the base link carries the tip.

    Raises:
        ValueError: If a link is unknown, or nothing connects the two.
    """
    links = sorted({link for joint in joints.values() for link in (joint.parent, joint.child)})
    for role, link in (("base", base), ("tip", tip)):
        if link not in links:
            raise ValueError(
                f"the URDF has no {role} link {link!r}: choose one of {', '.join(links) or 'none'}"
            )
    to_base, to_tip = _path(joints, base), _path(joints, tip)
    if _root(to_base, base) != _root(to_tip, tip):
        raise ValueError(
            f"no joints of the URDF connect the base link {base!r} with the tip link {tip!r}: "
            "choose links of one robot"
        )
    while to_base and to_tip and to_base[0] == to_tip[0]:
        del to_base[0], to_tip[0]
    return to_base, to_tip


def mujoco_urdf(root: str, joints: Sequence[Joint], driven: Collection[str]) -> str:
    """Write a URDF of some joints that MuJoCo loads.

    Args:
        root: The link that carries the others.
        joints: The joints, parents first.
        driven: Names of those that move; the others are fixed.
    """
    robot = Element("robot", name="chain")
    # MuJoCo would merge fixed links, and refuses moving ones without mass, though only dynamics
    # need it.
    extension = ElementTree.SubElement(robot, "mujoco")
    ElementTree.SubElement(
        extension, "compiler", fusestatic="false", boundmass="1", boundinertia="1"
    )
    for link in (root, *(joint.child for joint in joints)):
        ElementTree.SubElement(robot, "link", name=link)
    for joint in joints:
        # Without a range: the solver keeps the limits.
        kind = {"revolute": "continuous"}.get(joint.kind, joint.kind)
        kind = kind if joint.name in driven else "fixed"
        element = ElementTree.SubElement(robot, "joint", name=joint.name, type=kind)
        ElementTree.SubElement(element, "parent", link=joint.parent)
        ElementTree.SubElement(element, "child", link=joint.child)
        ElementTree.SubElement(element, "origin", xyz=_text(joint.xyz), rpy=_text(joint.rpy))
        ElementTree.SubElement(element, "axis", xyz=_text(joint.axis))
    return ElementTree.tostring(robot, encoding="unicode")


def _joint(element: Element) -> Joint:
    name, kind = element.get("name", ""), element.get("type", "")
    parent, child = (_attribute(element, tag, "link") for tag in ("parent", "child"))
    if not (name and kind and parent and child):
        raise ValueError(
            f"joint {name!r} of the URDF has the type {kind!r}, the parent {parent!r} and the "
            f"child {child!r}: expected all four; correct the URDF"
        )
    axis = _triple(name, _attribute(element, "axis", "xyz") or "1 0 0")
    length = math.hypot(*axis)
    if kind in MOVING and not length > 0.0:
        raise ValueError(f"joint {name} of the URDF has an axis of zeros: correct the URDF")
    low, high, velocity = _stated_limits(name, kind, element)
    return Joint(
        name, kind, parent, child,
        xyz=_triple(name, _attribute(element, "origin", "xyz") or "0 0 0"),
        rpy=_triple(name, _attribute(element, "origin", "rpy") or "0 0 0"),
        axis=(axis[0] / length, axis[1] / length, axis[2] / length) if length else axis,
        low=low, high=high, velocity=velocity,
        mimics=_attribute(element, "mimic", "joint"),
    )


def _stated_limits(name: str, kind: str, element: Element) -> Triple:
    """Lowest and highest position and highest speed, infinite where the URDF states none.

    Exporters write zeros where they know nothing; a joint with them could not move.
    """
    lower, upper, velocity = (
        _number(name, _attribute(element, "limit", key) or "0")
        for key in ("lower", "upper", "velocity")
    )
    if kind == "continuous" or lower == upper:
        lower, upper = -math.inf, math.inf
    return lower, upper, velocity or math.inf


def _path(joints: Mapping[str, Joint], link: str) -> list[Joint]:
    """The joints from the root of the tree to a link."""
    by_child = {joint.child: joint for joint in joints.values()}
    path: list[Joint] = []
    while link in by_child:
        path.append(by_child[link])
        link = by_child[link].parent
        if len(path) > len(joints):
            raise ValueError(
                f"the joints of the URDF form a loop at link {link!r}: expected a tree; correct "
                "the URDF"
            )
    return path[::-1]


def _root(path: Sequence[Joint], link: str) -> str:
    return path[0].parent if path else link


def _attribute(element: Element, tag: str, key: str) -> str:
    """An attribute of a joint's part, empty if there is none."""
    part = element.find(tag)
    return "" if part is None else part.get(key, "")


def _triple(name: str, text: str) -> Triple:
    values = [_number(name, word) for word in text.split()]
    if len(values) != 3:
        raise ValueError(f"joint {name} of the URDF has {text!r}: expected three numbers")
    return values[0], values[1], values[2]


def _number(name: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"joint {name} of the URDF has {word!r}: expected a finite number; expand a xacro file "
            "before it is used"
        )
    return value


def _text(values: Triple) -> str:
    return " ".join(map(repr, values))
