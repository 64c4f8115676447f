"""ROS parameter files: which nodes their sections address, and their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rlt_core.settings import flat

KEY = "ros__parameters"
FILE_FLAG = "--params-file"
VALUE_FLAGS = ("-p", "--param")


def sections(path: Path) -> dict[str, dict[str, Any]]:
    """Read a ROS parameter file.

    Args:
        path: The file.

    Returns:
        By node pattern, such as `/**/learner`, the values by dotted name.

    Raises:
        ValueError: If ROS cannot read it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"parameter file {path} cannot be read ({reason}): fix it") from error
    found = dict(_sections(content)) if isinstance(content, Mapping) else {}
    if content and not found:
        raise ValueError(
            f"{path} is not a ROS parameter file: expected sections such as /**/learner with "
            f"{KEY} below them"
        )
    for pattern, values in found.items():
        for name, value in values.items():
            if isinstance(value, list) and len(kinds := {type(element) for element in value}) > 1:
                remedy = "write all numbers with a point" if kinds == {int, float} else "fix it"
                raise ValueError(
                    f"{path}: {name} of {pattern} is {value}, but ROS accepts only lists of one "
                    f"type: {remedy}"
                )
    return found


def require_readable(arguments: Sequence[str]) -> None:
    """Check the parameter files among a process's arguments.

    Raises:
        ValueError: If ROS cannot read one of them.
    """
    for flag, word in zip(arguments, arguments[1:], strict=False):
        if flag == FILE_FLAG:
            sections(Path(word))


def addresses(pattern: str, node: str) -> bool:
    """Whether a section's pattern addresses a node; `*` is any name, `**` any number of them.

    Args:
        pattern: Such as `/**/learner`, `learner` or `/**`.
        node: Fully qualified name of the node.
    """
    tokens = {"**": "(/[^/]+)*", "*": "/[^/]+"}
    parts = [tokens.get(token, "/" + re.escape(token)) for token in pattern.strip("/").split("/")]
    return re.fullmatch("".join(parts), node) is not None


def meant_for(arguments: Sequence[str], node: str) -> tuple[set[str], set[str]]:
    """Find for which nodes the parameters in a process's arguments are meant.

    Args:
        arguments: Those of the process; ROS has read them, so they are valid.
        node: Fully qualified name of a node.

    Returns:
        The names that are given to every node, and those that are given to nodes other than this.
    """
    all_nodes: set[str] = set()
    others: set[str] = set()
    for flag, word in zip(arguments, arguments[1:], strict=False):
        if flag == FILE_FLAG:
            for pattern, values in sections(Path(word)).items():
                if pattern.rpartition("/")[2] in ("*", "**"):
                    all_nodes.update(values)
                elif not addresses(pattern, node):
                    others.update(values)
        elif flag in VALUE_FLAGS:
            all_nodes.add(word.partition(":=")[0])
    return all_nodes, others


def _sections(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, body in content.items():
        if not isinstance(body, Mapping):
            continue
        if KEY in body:
            yield f"{prefix}{name}", dict(flat(body[KEY] or {}))
        else:
            yield from _sections(body, f"{prefix}{name}/")
