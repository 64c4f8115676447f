"""The running graph is the one that the READMEs describe."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action.graph import (
    get_action_client_names_and_types_by_node,
    get_action_server_names_and_types_by_node,
)
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "/rlt"
NODES = {
    path.stem.removesuffix("_node"): path for path in sorted(ROOT.glob("src/*/rlt_*/**/*_node.py"))
}
START_SECONDS = 120.0
STOP_SECONDS = 60.0
EVERY_NODE_HAS = re.compile(
    r"/parameter_events|/rosout|.*/_action/.*|.*/\w+_parameters\w*|.*/get_parameter_types"
    r"|.*/get_type_description|.*/(change|get)_state|.*/get_available_\w+"
    r"|.*/get_transition_graph|.*/transition_event|/diagnostics"
)
"""Parameters, lifecycle, the internals of actions, and diagnostics."""

BY_HAND = {
    "operator": (
        "rlt_teleop", "--profile", "xbox", "--ros-args", "-p", f"model:={ROOT / 'models/ethernet'}",
    ),
    "gamepad": ("rlt_teleop",),
    "keyboard": ("rlt_teleop",),
    "person": ("rlt_sim", "--ros-args", "-r", f"__ns:={NAMESPACE}"),
}
"""A person's nodes, which an unattended run does not start: package and arguments."""

Row = tuple[str, str, str, str]
"""Node, what it does, name, type: as in the READMEs' tables."""


def documented() -> set[Row]:
    """The tables "Topics, services and actions" of all packages."""
    rows = set()
    for package in {path.relative_to(ROOT).parts[1] for path in NODES.values()}:
        _, _, below = (ROOT / "src" / package / "README.md").read_text().partition(
            "\n## Topics, services and actions\n"
        )
        lines = [line for line in below.partition("\n## ")[0].splitlines() if line[:1] == "|"]
        for line in lines[2:]:
            node, does, name, kind = (cell.strip(" `") for cell in line.strip("|").split("|"))
            rows.add((node, does, name, kind))
    return rows


def running(observer: Node) -> set[Row]:
    """The interfaces of the nodes that are in the graph now."""
    rows = set()
    names = {name for name, space in observer.get_node_names_and_namespaces() if space == NAMESPACE}
    for node in names.intersection(NODES):
        for does, entries in (
            ("publishes", observer.get_publisher_names_and_types_by_node(node, NAMESPACE)),
            ("subscribes", observer.get_subscriber_names_and_types_by_node(node, NAMESPACE)),
            ("serves", observer.get_service_names_and_types_by_node(node, NAMESPACE)),
            ("calls", observer.get_client_names_and_types_by_node(node, NAMESPACE)),
            ("serves action", get_action_server_names_and_types_by_node(observer, node, NAMESPACE)),
            ("calls action", get_action_client_names_and_types_by_node(observer, node, NAMESPACE)),
        ):
            for name, (kind, *_) in entries:
                if not EVERY_NODE_HAS.fullmatch(name):
                    short = name.removeprefix(NAMESPACE + "/")
                    rows.add((node, does, short, kind.rpartition("/")[2]))
    return rows


def reported() -> dict[str, re.Pattern[str]]:
    """Nodes of the table "Diagnostics" in docs/architecture.md, and what their keys look like."""
    _, _, below = (ROOT / "docs/architecture.md").read_text().partition("\n## Diagnostics\n")
    lines = [line for line in below.partition("\n## ")[0].splitlines() if line[:1] == "|"]
    patterns = {}
    for line in lines[2:]:
        node, values, _ = (cell.strip() for cell in line.strip("|").split("|"))
        keys = [re.escape(key) for key in re.findall(r"`([^`]+)`", values)]
        any_key = "|".join(re.sub(r"<\w+>|\\\*", r"[\\w.]+", key) for key in keys)
        patterns[node] = re.compile(rf"({any_key})(_worst_second)?")
    return patterns


@pytest.fixture
def observer(domain: int) -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("observer_of_the_test", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_interface_tables(tmp_path: Path, domain: int, observer: Node) -> None:
    log = (tmp_path / "log").open("w+")
    launch = subprocess.Popen(
        ["ros2", "launch", "rlt_bringup", "train.launch.py", f"output:={tmp_path / 'run'}"],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )
    patterns, statuses = reported(), {}
    observer.create_subscription(
        DiagnosticArray, "/diagnostics",
        lambda message: statuses.update({s.name.rpartition("/")[2]: s for s in message.status}), 10,
    )
    executor = SingleThreadedExecutor(context=observer.context)
    executor.add_node(observer)
    ends = pty.openpty()
    by_hand = [
        subprocess.Popen(
            ["ros2", "run", package, node, *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            stdin=ends[1], stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )
        for node, (package, *arguments) in BY_HAND.items()
    ]
    try:
        expected, deadline = documented(), time.monotonic() + START_SECONDS
        seen: set[Row] = set()  # over time: some exist only while they are needed
        while not seen >= expected and time.monotonic() < deadline:
            assert launch.poll() is None, (tmp_path / "log").read_text()
            seen |= running(observer)
            executor.spin_once(timeout_sec=0.1)
        assert seen == expected
        while not statuses.keys() >= patterns.keys() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        assert statuses.keys() == patterns.keys()
        for node, status in statuses.items():
            keys = {pair.key for pair in status.values}
            assert not {key for key in keys if not patterns[node].fullmatch(key)}, node
        for process in by_hand:
            # As a terminal does: `ros2 run` may have the node as a child, and forward nothing.
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(STOP_SECONDS) == 0, (tmp_path / "log").read_text()
        launch.send_signal(signal.SIGINT)
        assert launch.wait(STOP_SECONDS) == 0, (tmp_path / "log").read_text()
    finally:
        for process in by_hand:
            with contextlib.suppress(ProcessLookupError):  # all of it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for end in ends:
            os.close(end)
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
        log.close()
