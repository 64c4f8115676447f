"""Settings dataclasses as described, ranged ROS parameters."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rlt_core.settings import build

T = TypeVar("T")
LARGEST_INTEGER = 2**63 - 1
# Declared by rclpy itself, or belonging to one of its own features.
RCLPY_PREFIXES = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(
    node: Node, settings: type[T], only: Sequence[str] = (), without: Sequence[str] = ()
) -> T:
    """Declare the fields of a settings dataclass as read-only parameters and read them back.

    Args:
        node: The node that owns the parameters.
        settings: A dataclass whose fields were made with `rlt_core.settings.setting`.
        only: The fields that concern this node, if not all; the others keep their defaults.
        without: The fields that do not concern this node; they keep their defaults.

    Returns:
        The settings with the parameters' values.

    Raises:
        ValueError: If a value is out of range; names all of them.
        rclpy.exceptions.ParameterException: If a value has the wrong type.
    """
    values = {}
    for item in dataclasses.fields(settings):  # type: ignore[arg-type]
        if item.name in without or (only and item.name not in only):
            continue
        default = _default(item)
        descriptor = _descriptor(item, default)
        if default == []:
            # An empty list has no type, and no value is better than a guessed one.
            text = item.type in ("list[str]", list[str])
            kind = Parameter.Type.STRING_ARRAY if text else Parameter.Type.DOUBLE_ARRAY
            node.declare_parameter(item.name, kind, descriptor)
            value = node.get_parameter_or(item.name).value
            values[item.name] = [] if value is None else list(value)
        else:
            value = node.declare_parameter(item.name, default, descriptor).value
            values[item.name] = list(value) if isinstance(default, list) else value
    return build(settings, values)


def refuse_unknown(node: Node) -> None:
    """Refuse parameters that nobody declared: they are typing errors. Call it last.

    Raises:
        ValueError: Naming all of them and the known ones.
    """
    unknown = sorted(
        name
        for name in node._parameter_overrides
        if not node.has_parameter(name) and not name.startswith(RCLPY_PREFIXES)
    )
    if unknown:
        known = sorted(name for name in node._parameters if not name.startswith(RCLPY_PREFIXES))
        raise ValueError(
            f"unknown parameter(s) {', '.join(unknown)}; this node has {', '.join(known)}"
        )


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _descriptor(item: dataclasses.Field[Any], default: Any) -> ParameterDescriptor:
    """Description, range and choices of a setting, in ROS's words."""
    rule = item.metadata
    low, high, choices = rule["low"], rule["high"], rule["choices"]
    descriptor = ParameterDescriptor(description=rule["description"], read_only=True)
    if choices:
        descriptor.additional_constraints = "one of: " + ", ".join(choices)
    elif isinstance(default, list) and (low, high) != (None, None):
        descriptor.additional_constraints = f"each from {low} to {high}"
    elif isinstance(default, bool) or (low is None and high is None):
        pass
    elif isinstance(default, int):
        descriptor.integer_range = [
            IntegerRange(
                from_value=-LARGEST_INTEGER if low is None else int(low),
                to_value=LARGEST_INTEGER if high is None else int(high),
            )
        ]
    elif isinstance(default, float):
        largest = sys.float_info.max
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-largest if low is None else float(low),
                to_value=largest if high is None else float(high),
            )
        ]
    return descriptor
