"""Namespace and parameters that are set around our launch file, or in the user's files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launch import LaunchContext

from rlt_node.parameter_files import addresses, sections

NAMESPACE = "ros_namespace"  # where launch_ros keeps what PushRosNamespace has pushed
PARAMETERS = "global_params"  # and what SetParameter and SetParametersFromFile have set
NAMESPACES = re.compile(r"/|(/[A-Za-z_][A-Za-z0-9_]*)+")


def namespace_here(context: LaunchContext, given: str) -> str:
    """Resolve a namespace where our launch file is included.

    Args:
        context: The launch's context.
        given: An absolute namespace, or one relative to the pushed one.

    Returns:
        The absolute namespace.

    Raises:
        ValueError: If it is not a namespace.
    """
    around = "" if given.startswith("/") else str(context.launch_configurations.get(NAMESPACE, ""))
    namespace = "/" + "/".join(part for part in f"{around}/{given}".split("/") if part)
    if not NAMESPACES.fullmatch(namespace):
        raise ValueError(
            f"{given!r} is not a namespace: expected names of letters, digits and _, separated by "
            "/, none beginning with a digit"
        )
    return namespace


def overruled(
    context: LaunchContext, node: str, decided: Mapping[str, Any], own: Sequence[Path] = ()
) -> list[str]:
    """Find the parameters of the user that are ignored.

    Args:
        context: The launch's context.
        node: Fully qualified name of the node.
        decided: The parameters that our launch file sets.
        own: The user's own files of parameters.

    Returns:
        One sentence for each.

    Raises:
        ValueError: If a file of parameters cannot be read.
    """
    given = _parameters(context, node, own)
    return [
        f"parameter {name} = {given[name]!r} is ignored: the launch file sets it; use its "
        "arguments, or the task's file"
        for name in sorted(given.keys() & decided.keys())
        if given[name] != decided[name]
    ]


def _parameters(context: LaunchContext, node: str, own: Sequence[Path]) -> dict[str, Any]:
    """A node's parameters: from the user's files, then from around our launch file."""
    given: dict[str, Any] = {}
    for entry in (*own, *context.launch_configurations.get(PARAMETERS, [])):
        if isinstance(entry, tuple):
            given |= [entry]
        else:
            for pattern, values in sections(Path(entry)).items():
                given |= values if addresses(pattern, node) else {}
    return given
