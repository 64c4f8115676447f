"""Values and files of ROS parameters, with substitutions."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import NotInSubset, refuse_missing, refuse_unknown
from launch.substitution import Substitution, perform
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.substitutions import FindPackagePrefix, FindPackageShare

INNERMOST = re.compile(r"\$\(([\w-]+)((?:\s+[^\s()]+)*)\)")  # $(kind word ...)
KINDS = {
    "var": lambda name, default=None: LaunchConfiguration(name, default=default),
    "env": lambda name, default=None: EnvironmentVariable(name, default_value=default),
    "find-pkg-share": FindPackageShare,
    "find-pkg-prefix": FindPackagePrefix,
}


class ParameterValue:
    """The value of a parameter, with its type where a substitution makes it.

    Args:
        value: a plain value, or substitutions.
        value_type: str, int, float or bool; None: what YAML makes of the text.
    """

    def __init__(self, value: Any, *, value_type: type | None = None, **unknown: object) -> None:
        refuse_unknown(self, unknown)
        self.value = value
        self.value_type = value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """The value; raises ValueError where the text is not of the type."""
        if not has_substitution(self.value):
            return plain(self.value)
        text = perform(context, self.value)
        if self.value_type is str:
            return text
        value = yaml.safe_load(text)
        if self.value_type is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if self.value_type is not None and type(value) is not self.value_type:
            raise ValueError(f"expected {self.value_type.__name__} as a parameter; found '{text}'")
        return value


class ParameterFile:
    """A file of parameters.

    Args:
        param_file: its path.
        allow_substs: replace `$(var x)`, `$(env x)` and `$(find-pkg-share x)` in its text.
    """

    def __init__(
        self, param_file: SomeSubstitutionsType, *, allow_substs: bool = False, **unknown: object
    ) -> None:
        refuse_unknown(self, unknown)
        self.param_file = param_file
        self.allow_substs = allow_substs

    def evaluate(self, context: LaunchContext) -> str:
        """The path of the file, or of its copy with the substitutions done."""
        path = perform(context, self.param_file)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"no parameter file at '{path}'")
        if not self.allow_substs:
            return path
        with open(path, encoding="utf-8") as file:
            return write_parameters(context, perform_in_text(context, file.read()))


def perform_in_text(context: LaunchContext, text: str) -> str:
    """Replace the substitutions in a text, innermost first.

    Raises:
        NotInSubset: a kind of substitution that is not known here.
    """

    def replace(match: re.Match[str]) -> str:
        kind, words = match[1], match[2].split()
        if kind not in KINDS:
            raise NotInSubset(f"$({kind} ...) in a parameter file")
        return KINDS[kind](*words).perform(context)

    while INNERMOST.search(text):
        text = INNERMOST.sub(replace, text)
    return text


def write_parameters(context: LaunchContext, text: str) -> str:
    """Write a parameter file that lives as long as the launch; return its path."""
    path = context.service.folder / f"parameters_{len(list(context.service.folder.iterdir()))}.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def evaluate_parameters(context: LaunchContext, parameters: Mapping[Any, Any]) -> dict[str, Any]:
    """The plain names and values of a dictionary of parameters; nested ones joined by dots."""
    evaluated: dict[str, Any] = {}
    for key, value in parameters.items():
        name = perform(context, key)
        if isinstance(value, Mapping):
            nested = evaluate_parameters(context, value)
            evaluated.update({f"{name}.{inner}": item for inner, item in nested.items()})
        else:
            described = value if isinstance(value, ParameterValue) else ParameterValue(value)
            evaluated[name] = described.evaluate(context)
    return evaluated


def has_substitution(value: Any) -> bool:
    """Whether a value is a substitution or a sequence with at least one."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return any(isinstance(part, Substitution) for part in value)
    return isinstance(value, Substitution)


def plain(value: Any) -> Any:
    """A value as YAML can write it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


__getattr__ = refuse_missing(__name__)
