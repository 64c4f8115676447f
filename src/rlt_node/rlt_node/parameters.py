"""Settings dataclasses as described, ranged ROS parameters."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rlt_core.settings import build, default_of, example_of, fit
from rlt_node.parameter_files import meant_for

T = TypeVar("T")
LARGEST_INTEGER = 2**63 - 1
RESEMBLANCE = 0.8  # names that differ in one or two letters; see difflib
# Declared by rclpy itself, or part of one of its features.
RCLPY_PREFIXES = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(
    node: Node, settings: type[T], only: Sequence[str] = (), without: Sequence[str] = ()
) -> T:
    """Declare the fields of a settings dataclass as read-only parameters and read them back.

    Args:
        node: The node that owns the parameters.
        settings: A dataclass whose fields were made with `rlt_core.settings.setting`.
        only: The fields that this node uses, if not all; the others keep their defaults.
        without: The fields that this node does not use; they keep their defaults.

    Returns:
        The settings with the parameters' values.

    Raises:
        ValueError: If a value has another type.
        rclpy.exceptions.ParameterException: If a value is out of range.
    """
    values = {}
    for item in dataclasses.fields(settings):  # type: ignore[arg-type]
        if item.name in without or (only and item.name not in only):
            continue
        default = default_of(item)
        example, descriptor = example_of(item), _descriptor(item, default)
        values[item.name] = declare_one(node, item.name, default, descriptor, example)
    return build(settings, values)


def declare_one(
    node: Node, name: str, default: Any, descriptor: ParameterDescriptor, example: Any = None
) -> Any:
    """Declare a parameter whose value may be written as users do: 1 for a float.

    Args:
        node: The node that owns the parameter.
        name: Its name.
        default: Its default; an empty list has no type and means no default.
        descriptor: Its description.
        example: A value of its type, if the default is an empty list.

    Returns:
        Its value; a list is a copy.

    Raises:
        ValueError: If the given value cannot be converted to that type.
    """
    example = default if example is None else example
    given = node._parameter_overrides.get(name)
    if given is not None:
        value = fit(f"parameter {name}", given.value, example)
        if value != []:
            node._parameter_overrides[name] = Parameter(name, value=value)
    if default == []:  # no value is better than a guessed one
        node.declare_parameter(name, Parameter.Type.from_parameter_value(example), descriptor)
        value = node.get_parameter_or(name).value or []
    else:
        value = node.declare_parameter(name, default, descriptor).value
    return list(value) if isinstance(example, list) else value


def refuse_unknown(node: Node) -> None:
    """Reject undeclared parameters, which are typing errors. Call it last.

    A parameter that was given to all nodes, such as a `tf_prefix` for a robot's driver, is only
    logged, unless it resembles a parameter of this node. Parameters of other nodes are ignored.

    Raises:
        ValueError: If there are any; names all of them and the known ones.
    """
    unknown = sorted(
        name
        for name in node._parameter_overrides
        if not node.has_parameter(name) and not name.startswith(RCLPY_PREFIXES)
    )
    if not unknown:
        return
    known = sorted(name for name in node._parameters if not name.startswith(RCLPY_PREFIXES))
    all_nodes, others = meant_for(sys.argv, node.get_fully_qualified_name())
    wrong, strange = [], []
    for name in unknown:
        resembling = get_close_matches(name, known, 1, RESEMBLANCE)
        if name in all_nodes & others:
            continue
        if name in all_nodes and not resembling:
            strange.append(name)
        else:
            wrong.append(f"{name} (did you mean {resembling[0]}?)" if resembling else name)
    if wrong:
        raise ValueError(
            f"unknown parameter(s) {', '.join(wrong)}; this node has {', '.join(known)}"
        )
    if strange:
        node.get_logger().warning(
            f"parameter(s) {', '.join(strange)}, given to all nodes, are unknown to this one"
        )


def _descriptor(item: dataclasses.Field[Any], default: Any) -> ParameterDescriptor:
    """Description, range and choices of a setting as a ROS descriptor."""
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
