"""A node's health on /diagnostics, as rqt_robot_monitor and others read it."""

from __future__ import annotations

import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.experimental import EventsExecutor
from rclpy.parameter import Parameter

from rlt_node.diagnostics import Diagnostics, Health, Level, health_to_msg


def test_levels_are_those_of_ros():
    for level in Level:
        expected = getattr(DiagnosticStatus, level.name)
        assert health_to_msg("/rlt/observer", Health(level, "ok")).level == expected


def test_values_are_short_text():
    values = {
        "age_ms": 12.34567, "rate_hz": np.float32(24.999999), "unknown": float("nan"),
        "frames": 3_000_000, "active": True, "version": np.int64(7), "source": "wrist",
    }
    status = health_to_msg("/rlt/observer", Health(Level.OK, "ok", values))
    assert (status.name, status.hardware_id) == ("/rlt/observer", "")
    assert {pair.key: pair.value for pair in status.values} == {
        "age_ms": "12.35", "rate_hz": "25", "unknown": "nan", "frames": "3000000",
        "active": "true", "version": "7", "source": "wrist",
    }


@pytest.fixture
def ros():
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.mark.parametrize("simulated_time", [False, True])
def test_a_status_comes_every_second_of_wall_time(ros, simulated_time):
    """With simulated time and without a clock publisher, too."""
    node = rclpy.create_node(
        "worker", namespace="/rlt",
        parameter_overrides=[Parameter("use_sim_time", value=simulated_time)],
    )
    seen: list[tuple[float, DiagnosticArray]] = []
    node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: seen.append((time.monotonic(), m)), 10
    )
    calls = iter(range(100))
    Diagnostics(node, lambda: Health(Level.WARN, "slow", {"calls": next(calls)}))
    executor = EventsExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + 60.0
    while len(seen) < 3:
        assert time.monotonic() < deadline, "no diagnostics received"
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    statuses = [status for _, message in seen for status in message.status]
    assert {status.name for status in statuses} == {"/rlt/worker"}
    assert [status.values[0].value for status in statuses[:3]] == ["0", "1", "2"]
    assert seen[2][0] - seen[0][0] >= 1.5  # once a second, not as fast as possible
