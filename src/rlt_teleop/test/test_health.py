"""What the operator publishes on /diagnostics."""

from __future__ import annotations

import pytest

from rlt_core.records import Source
from rlt_node.diagnostics import Level
from rlt_teleop.health import operator_health


@pytest.mark.parametrize(
    ("fault", "takeover", "level"),
    [("", False, Level.OK), ("", True, Level.OK), ("joy is silent", False, Level.WARN),
     ("joy is silent", True, Level.ERROR)],
)
def test_a_device_fault_is_worst_in_takeover(fault, takeover, level):
    health = operator_health(fault, takeover, Source.HUMAN, {"joy_hz": 50.0})
    assert health.level == level
    assert fault in health.message
    assert health.values == {
        "takeover": takeover, "acting": "human", "device_fault": fault, "joy_hz": 50.0,
    }
