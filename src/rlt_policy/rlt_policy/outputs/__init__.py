"""Robot outputs: how set-points reach a robot, and where its measured position comes from.

A robot output is a class with the interface of `RobotOutput`, found by its entry point in the
group `rlt.robot_output`; other packages add theirs without a change here.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from rlt_core.contract import Contract

GROUP = "rlt.robot_output"
OnPosition = Callable[[int, NDArray[np.float64], str], None]


class RobotOutput(abc.ABC):
    """The controller's way to one kind of robot interface."""

    @abc.abstractmethod
    def __init__(
        self, node: Node, contract: Contract, lockstep: bool, on_position: OnPosition
    ) -> None:
        """Connect to the robot.

        Args:
            node: The node that owns publishers, subscriptions and the output's own parameters.
            contract: The contract of the run.
            lockstep: Whether the simulator's stamps count the ticks.
            on_position: Called for every measured state with the tick (0 outside lockstep), the
                measured position on the action axes, float64 (A,), SI, and the sentence why the
                robot must not move, empty if it may.

        Raises:
            ValueError: If this output cannot drive the contract's action axes.
        """

    @abc.abstractmethod
    def send(self, tick: int, setpoint: NDArray[np.float64]) -> None:
        """Send a set-point, float64 (A,), SI: finite and within limits."""


def load_output(name: str) -> type[RobotOutput]:
    """Find a robot output by the name of its entry point.

    Raises:
        ValueError: If there is none; lists those that exist.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ValueError(f"unknown robot output {name!r}: installed are {known}")
    loaded: type[RobotOutput] = found[name].load()
    return loaded
