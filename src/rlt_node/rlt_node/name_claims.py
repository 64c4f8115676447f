"""One node per name on a machine: an existing one is found and named before anything moves.

A claim is a bound abstract Unix socket. It has the same reach as DDS over loopback, across users
and containers that share the network, and it ends with the process, however the process ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import struct
from collections.abc import Iterable, Sequence

RULE = re.compile(r"(?:(?P<node>\w+):)?__(?P<what>ns|node|name):=(?P<value>\S+)")


class Taken(ValueError):
    """Another process has claimed the name."""


def full_name(name: str, namespace: str) -> str:
    """A node's name with its namespace, in the form that all claims use."""
    return f"/{namespace.strip('/')}/{name}".replace("//", "/")


def remapped_name(name: str, arguments: Sequence[str]) -> str:
    """Full name of the node that a process creates with this name; as in rcl, first rule wins.

    Args:
        name: The node's name in its program.
        arguments: The process's arguments, including those for ROS.
    """
    found: dict[str, str] = {}
    for rule in filter(None, map(RULE.fullmatch, arguments)):
        if rule["node"] in (None, name):
            found.setdefault("ns" if rule["what"] == "ns" else "node", rule["value"])
    return full_name(found.get("node", name), found.get("ns", ""))


def claim_node(name: str) -> socket.socket:
    """Claim a node's full name in this process's ROS domain, for as long as the socket lives.

    Raises:
        Taken: If another process has claimed it.
    """
    claim = _bind("node", name)
    if claim is None:
        raise Taken(_running(name))
    return claim


def claim_graph(names: Iterable[str]) -> list[socket.socket]:
    """Claim the nodes of a launch, before the first of them is started.

    All launches claim in the same order: of two that share a node, one gets all of its nodes.

    Raises:
        Taken: If one of the nodes belongs to another launch, or already runs.
    """
    claims = []
    for name in sorted(names):
        claim = _bind("launch", name)
        if claim is None:
            raise Taken(
                f"another launch, {_holder('launch', name)}, already runs {name} in ROS domain "
                f"{_domain()}: {_remedy('it')}"
            )
        claims.append(claim)
    for name in sorted(names):
        if _holder("node", name):
            raise Taken(_running(name))
    return claims


def _running(name: str) -> str:
    return (
        f"{name} already runs in ROS domain {_domain()}, as {_holder('node', name)}: "
        f"{_remedy('that process')}"
    )


def _remedy(what: str) -> str:
    return (
        f"stop {what}, or use another namespace (namespace:=... for a launch, -r __ns:=/... for a "
        "node) or ROS_DOMAIN_ID"
    )


def _domain() -> str:
    return os.environ.get("ROS_DOMAIN_ID") or "0"


def _address(kind: str, name: str) -> str:
    """An abstract address; hashed, since it is limited to 107 bytes."""
    words = f"{kind} {_domain()} {name}"
    return f"\0rlt-{hashlib.sha256(words.encode()).hexdigest()}"


def _bind(kind: str, name: str) -> socket.socket | None:
    """A socket that holds the claim, None if another process holds it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(_address(kind, name))
        claim.listen()  # so that others can query the process id
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return claim


def _holder(kind: str, name: str) -> str:
    """The process that holds a claim, for messages; empty if none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as question:
        question.setblocking(False)
        try:
            question.connect(_address(kind, name))
        except ConnectionRefusedError:
            return ""
        except BlockingIOError:
            return "a process with too many pending queries for its id"
        size = struct.calcsize("3i")
        pid, _, _ = struct.unpack(
            "3i", question.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
    return f"process {pid}" if pid else "a process in another container"
