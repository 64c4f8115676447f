"""The robot outputs of all groups as one robot: one position, one command per tick."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher

from rlt_core.records import ControlStep
from rlt_core.robot.robot_file import Robot
from rlt_policy.outputs import OnPosition, OutputSetup, load_output

Vector = NDArray[np.float64]


class GroupOutputs:
    """Splits steps by group, and joins the groups' positions.

    The position of the robot is reported once every group has measured anew, all at one tick in
    lockstep. With a fault it is reported at once, if the place of every group is known.

    Attributes:
        commands: The publishers of all commands.
    """

    def __init__(self, node: Node, robot: Robot, lockstep: bool, on_position: OnPosition) -> None:
        """Connect to the robot.

        Args:
            node: The node that owns publishers and subscriptions.
            robot: The robot.
            lockstep: Whether the simulator's stamps count the ticks.
            on_position: As of `OutputSetup`, on all axes.

        Raises:
            ValueError: If an output cannot drive its group, or an option is invalid.
        """
        self._on_position = on_position
        self._slices = robot.space.slices
        self._positions: list[Vector | None] = [None] * len(self._slices)
        self._ticks: dict[int, int] = {}  # of the groups that measured since the last report
        self._fault = ""
        self._outputs = [
            load_output(entry.output.type)(
                OutputSetup(node, entry, robot.rate_hz, lockstep, partial(self._take, index))
            )
            for index, entry in enumerate(robot.action)
        ]
        self.commands: tuple[Publisher, ...] = tuple(
            publisher for output in self._outputs for publisher in output.commands
        )
        topics = [publisher.topic_name for publisher in self.commands]
        if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
            raise ValueError(
                f"two groups are driven on the topic {twice[0]}: give each output of the robot "
                "file a topic of its own"
            )

    @property
    def heard(self) -> dict[str, float]:
        """As of `RobotListener`, of all groups."""
        heard: dict[str, float] = {}
        for output in self._outputs:
            for source, at in output.state.heard.items():
                heard[source] = min(at, heard.get(source, at))
        return heard

    def send(self, step: ControlStep) -> None:
        """Send a tick's set-point to every group."""
        for output, part in zip(self._outputs, self._slices, strict=True):
            output.send(dataclasses.replace(
                step, setpoint=step.setpoint[part], increment=step.increment[part]
            ))

    def _take(self, index: int, tick: int, position: Vector, fault: str) -> None:
        """Take the position of one group, and report the robot's if it is complete."""
        self._positions[index] = position
        self._ticks[index] = tick
        self._fault = self._fault or fault
        known = [each for each in self._positions if each is not None]
        complete = len(self._ticks) == len(self._slices) and len(set(self._ticks.values())) == 1
        if len(known) < len(self._slices) or not (complete or self._fault):
            return
        fault, self._fault = self._fault, ""
        self._ticks.clear()
        self._on_position(tick, np.concatenate(known), fault)
