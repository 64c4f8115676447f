"""The health of a node: one status per second on `/diagnostics`, which ROS tools read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD_SECONDS = 1.0
TOPIC = "/diagnostics"  # absolute: rqt_robot_monitor and the aggregator read this name
DIGITS = 4


class Level(IntEnum):
    """The levels of `diagnostic_msgs/DiagnosticStatus`."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Health:
    """The current health of a node.

    Attributes:
        level: The worst current level.
        message: One sentence about the worst fault; "ok" or the node's activity without a fault.
        values: Figures by name, with the unit at the name's end ("age_ms"); numbers, booleans or
            text.
    """

    level: Level
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


class Diagnostics:
    """Publishes a node's health once a second of wall time, in lockstep too."""

    def __init__(self, node: Node, fill: Callable[[], Health]) -> None:
        """Start the timer.

        Args:
            node: The node; its fully qualified name is the name of the status.
            fill: Returns the node's health. It is called in a callback of the node's default group,
                so it needs a lock only for data that other threads write.
        """
        self._node = node
        self._fill = fill
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(PERIOD_SECONDS, self._publish, clock=steady)

    def _publish(self) -> None:
        message = DiagnosticArray(
            status=[health_to_msg(self._node.get_fully_qualified_name(), self._fill())]
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def health_to_msg(name: str, health: Health) -> DiagnosticStatus:
    """A node's health as a status under the node's fully qualified name."""
    return DiagnosticStatus(
        level=bytes([health.level]),
        name=name,
        message=health.message,
        values=[KeyValue(key=key, value=_text(value)) for key, value in health.values.items()],
    )


def _text(value: object) -> str:
    """Format a value for a person: few digits, never an array."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return str(value)
