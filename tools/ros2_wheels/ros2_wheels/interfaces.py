"""Interface types by name, and messages as plain YAML values in both directions."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ros2_wheels.errors import CommandError

LONGEST_ARRAY = 128  # elements that `topic echo` shows, as the original


def get_interface(name: str, kind: str) -> Any:
    """Import an interface type.

    Args:
        name: `package/kind/Type`, or `package/Type`.
        kind: `msg`, `srv` or `action`.

    Raises:
        CommandError: the name is not of this kind or there is no such type.
    """
    package, *middle, type_name = name.split("/")
    if not package or middle not in ([], [kind]) or not type_name:
        raise CommandError(f"'{name}' is not a type; write it as package/{kind}/Type")
    try:
        return getattr(import_module(f"{package}.{kind}"), type_name)
    except (ImportError, AttributeError):
        raise CommandError(
            f"type '{name}' not found; see `ros2 interface list`, and source env.sh if it is new"
        ) from None


def to_plain(value: Any, longest: int | None = LONGEST_ARRAY) -> Any:
    """Turn a message, or the value of a field, into what YAML can write.

    Args:
        value: a message, number, string, bytes or array.
        longest: arrays are cut to this length, with an ellipsis; None keeps them complete.
    """
    if hasattr(value, "get_fields_and_field_types"):
        return {
            field: to_plain(getattr(value, field), longest)
            for field in value.get_fields_and_field_types()
        }
    if isinstance(value, bytes):
        return value[0] if len(value) == 1 else list(value)
    if _is_array(value):
        shown = [to_plain(item, longest) for item in value[:longest]]
        return shown if len(shown) == len(value) else [*shown, "..."]
    return value.tolist() if hasattr(value, "tolist") else value  # a numpy number


def _is_array(value: Any) -> bool:
    """Whether a value is a list, an array.array or a numpy array, without importing numpy."""
    return hasattr(value, "__len__") and (hasattr(value, "tolist") or isinstance(value, list))


def from_plain(message: Any, values: Any) -> Any:
    """Set the fields of a message from YAML values; fields that are not named keep their values.

    Args:
        message: the message to fill, in place.
        values: a mapping from field to value, nested as the message is.

    Returns:
        The message.

    Raises:
        CommandError: an unknown field, or a value that does not fit.
    """
    if not isinstance(values, Mapping):
        raise CommandError(
            f"values of {type(message).__name__} must be a YAML mapping, "
            f'for example "{{field: value}}"; found {values!r}'
        )
    types = message.get_fields_and_field_types()
    for field, value in values.items():
        if field not in types:
            names = ", ".join(types) or "none"
            raise CommandError(
                f"{type(message).__name__} has no field '{field}'; its fields: {names}"
            )
        try:
            setattr(message, field, _fit(getattr(message, field), types[field], value))
        except (TypeError, ValueError, AssertionError, OverflowError):
            raise CommandError(
                f"field '{field}' of {type(message).__name__} is {types[field]}; found {value!r}"
            ) from None
    return message


def _fit(current: Any, type_name: str, value: Any) -> Any:
    """Convert a YAML value to the type of a field, whose current value is `current`."""
    if hasattr(current, "get_fields_and_field_types"):
        return from_plain(current, value)
    if _is_array(current):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError
        element = type_name.removeprefix("sequence<").split(",")[0].split("[")[0].rstrip(">")
        if "/" in element:
            make = get_interface(element, "msg")
            return [from_plain(make(), item) for item in value]
        if element.startswith("string"):
            return [_check(item, str) for item in value]
        return [_number(item, "float" in element or element == "double") for item in value]
    if isinstance(current, bool):
        return _check(value, bool)
    if isinstance(current, (int, float)):
        return _number(value, isinstance(current, float))
    if isinstance(current, bytes):
        return bytes([value])
    return _check(value, str)


def _check(value: Any, expected: type) -> Any:
    if not isinstance(value, expected):
        raise ValueError
    return value


def _number(value: Any, real: bool) -> float | int | bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, (int, float) if real else int):
        raise ValueError
    return float(value) if real else value
