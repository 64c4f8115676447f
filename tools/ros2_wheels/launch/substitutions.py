"""Substitutions: text that is known only when the launch runs."""

import math
import os
from collections.abc import Iterable, Sequence

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import refuse_missing
from launch.substitution import Substitution, describe, perform

TRUE_WORDS = ("true", "1")  # the words of the original, in any case
FALSE_WORDS = ("false", "0")


class SubstitutionFailure(RuntimeError):
    """A substitution that has no value in its context."""


class TextSubstitution(Substitution):
    """Literal text."""

    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: LaunchContext) -> str:
        """The text."""
        return self.text

    def describe(self) -> str:
        """The text in quotes."""
        return f"'{self.text}'"


class LaunchConfiguration(Substitution):
    """The value of a launch argument or of another launch configuration."""

    def __init__(
        self, variable_name: SomeSubstitutionsType, *, default: SomeSubstitutionsType | None = None
    ) -> None:
        self.variable_name = variable_name
        self.default = default

    def perform(self, context: LaunchContext) -> str:
        """The value; raises SubstitutionFailure where there is neither one nor a default."""
        name = perform(context, self.variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self.default is not None:
            return perform(context, self.default)
        raise SubstitutionFailure(f"launch configuration '{name}' does not exist")

    def describe(self) -> str:
        """The expression that makes it."""
        return f"LaunchConfig({describe(self.variable_name)})"


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(
        self, name: SomeSubstitutionsType, *, default_value: SomeSubstitutionsType | None = None
    ) -> None:
        self.name = name
        self.default_value = default_value

    def perform(self, context: LaunchContext) -> str:
        """The value; raises SubstitutionFailure where there is neither one nor a default."""
        name = perform(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is not None:
            return perform(context, self.default_value)
        raise SubstitutionFailure(f"environment variable '{name}' does not exist")

    def describe(self) -> str:
        """The expression that makes it."""
        return f"EnvVar({describe(self.name)})"


class PathJoinSubstitution(Substitution):
    """Parts joined by the path separator."""

    def __init__(self, substitutions: Iterable[SomeSubstitutionsType]) -> None:
        self.substitutions = list(substitutions)

    def perform(self, context: LaunchContext) -> str:
        """The path."""
        return os.path.join(*(perform(context, part) for part in self.substitutions))

    def describe(self) -> str:
        """The expression that makes it."""
        return f"PathJoin({', '.join(describe(part) for part in self.substitutions)})"


class PythonExpression(Substitution):
    """The value of a Python expression, which may use the names of `math`."""

    def __init__(
        self, expression: SomeSubstitutionsType, python_modules: Sequence[str] = ("math",)
    ) -> None:
        if list(python_modules) != ["math"]:
            refuse_missing(__name__)("PythonExpression(python_modules=...)")
        self.expression = expression

    def perform(self, context: LaunchContext) -> str:
        """The value as text; the launch file's author wrote the expression, so it is evaluated."""
        expression = perform(context, self.expression)
        try:
            return str(eval(expression, {"math": math}, dict(vars(math))))
        except Exception as error:
            raise SubstitutionFailure(f"cannot evaluate '{expression}': {error}") from error

    def describe(self) -> str:
        """The expression that makes it."""
        return f"PythonExpr({describe(self.expression)})"


def is_true(context: LaunchContext, value: SomeSubstitutionsType) -> bool:
    """Whether a text means true.

    Raises:
        ValueError: it is neither true, false, 1 nor 0.
    """
    text = perform(context, value).strip().lower()
    if text not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError(f"expected true, false, 1 or 0; found '{text}'")
    return text in TRUE_WORDS


__getattr__ = refuse_missing(__name__)
