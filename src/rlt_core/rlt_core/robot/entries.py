"""Entries of a settings file that pydantic checks, and errors that say how to correct them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from rlt_core.files import path_of

SHOWN = 60
"""Longest text of a wrong value in an error, characters."""


class Entry(BaseModel):
    """Keys and values; unknown keys and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _not_a_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


Number = Annotated[float, BeforeValidator(_not_a_flag)]
"""A finite number; 1, 1.0 and 1e-3 are all accepted."""
Positive = Annotated[Number, Field(gt=0.0)]
"""A finite number above 0."""
Triple = tuple[Number, Number, Number]


def _existing(path: Any, info: ValidationInfo) -> Any:
    """A file beside the one that names it, if its path is relative."""
    if not isinstance(path, str):
        return path
    found = (Path((info.context or {}).get("folder", "")) / path_of(path)).absolute()
    if not found.is_file():
        raise ValueError(f"Input should be the path of a file, but there is no {found}")
    return found


FilePath = Annotated[Path, BeforeValidator(_existing)]
"""A file; relative to the folder of the file that names it. `~` is the home folder."""

E = TypeVar("E", bound=Entry)


def read_entries(kind: str, path: Path, model: type[E]) -> E:
    """Read a YAML file of entries.

    Args:
        kind: What the file is, for the error.
        path: The file.
        model: Its content.

    Raises:
        ValueError: If it cannot be read or is invalid; names every wrong key, what was found, what
            is expected, and an example.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{kind} {path} cannot be read ({reason}): fix it") from error
    return check_entries(f"{kind} {path}", content, model, path.absolute().parent)


def check_entries(where: str, content: Any, model: type[E], folder: Path | None = None) -> E:
    """Check values against a model.

    Args:
        where: Where they are written, for the error.
        content: The values.
        model: What they must be.
        folder: Folder that relative paths start from; None: the current one.

    Raises:
        ValueError: If they are invalid; see `read_entries`.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} is {_shown(content)}, expected names and values")
    try:
        return model.model_validate(content, context={"folder": folder or Path()})
    except ValidationError as error:
        faults = error.errors()
        lines = [_explain(model, fault) for fault in faults if not _follows(fault, faults)]
        raise ValueError(f"{where} is not valid:\n  " + "\n  ".join(lines)) from error


def _follows(fault: Any, faults: Sequence[Any]) -> bool:
    """Whether a list is only too short because what is in it is invalid."""
    where = fault["loc"]
    return fault["type"] == "too_short" and any(
        other is not fault and other["loc"][: len(where)] == where for other in faults
    )


def _explain(model: type[BaseModel], fault: Any) -> str:
    """One fault: its key, what was found, what is expected, an example."""
    path, field = _place(model, fault["loc"])
    if fault["type"].startswith("union_tag"):
        key = f"{path}.{str(fault['ctx']['discriminator']).strip(chr(39))}"
        if fault["type"] == "union_tag_not_found":
            return f"{key} is missing"
        return f"{key} is {fault['ctx']['tag']!r}: expected {fault['ctx']['expected_tags']}"
    example = f", e.g. {field.examples[0]}" if field is not None and field.examples else ""
    if fault["type"] == "missing":
        described = f" ({field.description})" if field is not None and field.description else ""
        return f"{path} is missing{described}{example}"
    if fault["type"] == "extra_forbidden":
        return f"{path} is unknown here: correct its name or remove it"
    expected = str(fault["msg"]).removeprefix("Value error, ")
    expected = expected.replace("Input should be", "expected", 1)
    return f"{path} is {_shown(fault['input'])}: {expected}{example}"


def _place(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, Any]:
    """The dotted key of a location, and the model's field there, None if there is none.

    A location also holds the tags of unions, such as the kind of a group: they are not keys.
    """
    path, field, models = "", None, _models(model)
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
            continue
        known = [each.model_fields[step] for each in models if step in each.model_fields]
        if not known and len(models) > 1 and any(step in _tags(each) for each in models):
            models = [each for each in models if step in _tags(each)]
            continue
        path += f".{step}" if path else step
        field = known[0] if known else None
        models = _models(known[0].annotation) if known else models
    return path or "it", field


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models among a type and its arguments."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _tags(model: type[BaseModel]) -> set[Any]:
    """Values that mark a model within a union."""
    fields = model.model_fields.values()
    return {value for field in fields for value in get_args(field.annotation)}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
