"""The base of all substitutions, and how values that hold them become text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class Substitution:
    """Text that is known only when the launch runs."""

    def perform(self, context: "LaunchContext") -> str:
        """The text, in this context."""
        raise NotImplementedError

    def describe(self) -> str:
        """How the substitution is shown to a person."""
        return f"{type(self).__name__}()"


def perform(context: "LaunchContext", value: Any) -> str:
    """Turn a string, a substitution, or a sequence of both (which are joined) into text."""
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "".join(perform(context, part) for part in value)
    return str(value)


def describe(value: Any) -> str:
    """Show a string, a substitution, or a sequence of both, as the original does."""
    if isinstance(value, Substitution):
        return value.describe()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " + ".join(describe(part) for part in value)
    return f"'{value}'"
