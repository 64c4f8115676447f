"""Robot outputs: how set-points reach a robot, and where its measured position comes from.

A robot output is a class with the interface of `RobotOutput`, found by its entry point in the
group `rlt.robot_output`; other packages add theirs without a change here.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher

from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry, check_entries
from rlt_core.robot.robot_file import GroupEntry

GROUP = "rlt.robot_output"
OnPosition = Callable[[int, NDArray[np.float64], str], None]
E = TypeVar("E", bound=Entry)
G = TypeVar("G", bound=GroupEntry)


class RobotListener(Protocol):
    """Receives the state of the robot."""

    @property
    def heard(self) -> dict[str, float]:
        """Time of the last new message, monotonic s, by topic or by the silent part of one."""


@dataclass(frozen=True)
class OutputSetup:
    """What an output needs to drive a group.

    Attributes:
        node: The node that owns publishers and subscriptions.
        entry: What the robot's file says of the group.
        rate_hz: Control rate.
        lockstep: Whether the simulator's stamps count the ticks.
        on_position: Called for every measured state with the tick (0 outside lockstep), the
            measured position on the group's n axes, float64 (n,), SI, and a sentence that says why
            the robot must not move, empty if it may. Nothing moves before the first call.
    """

    node: Node
    entry: GroupEntry
    rate_hz: float
    lockstep: bool
    on_position: OnPosition

    @property
    def dt(self) -> float:
        """Control period in seconds."""
        return 1.0 / self.rate_hz

    def options(self, kind: type[E]) -> E:
        """The options of the group's output, as the output declares them.

        Raises:
            ValueError: If they are invalid; names all errors.
        """
        where = f"output {self.entry.output.type} of group {self.entry.group} in the robot file"
        return check_entries(where, self.entry.output.options, kind)

    def group(self, *kinds: type[G]) -> G:
        """The group, if the output can drive its kind.

        Raises:
            ValueError: If it cannot; names those that it can.
        """
        if not isinstance(self.entry, kinds):
            known = " or ".join(kind.model_fields["kind"].annotation.__args__[0] for kind in kinds)
            raise ValueError(
                f"robot output {self.entry.output.type} drives groups of kind {known}, but group "
                f"{self.entry.group} is of kind {self.entry.kind}: choose another output"
            )
        return self.entry

    def require_real_time(self) -> None:
        """Reject lockstep, where only the simulated robot counts the ticks.

        Raises:
            ValueError: In lockstep.
        """
        if self.lockstep:
            raise ValueError(
                f"robot output {self.entry.output.type} works in real time only: set mode to "
                "real_time, or drive the simulated robot with cartesian_pose"
            )


class RobotOutput(abc.ABC):
    """Connects the controller to the interface of the robot that drives one group of axes.

    Attributes:
        state: Receives the state of the robot.
        commands: Publishers of the robot's commands: each needs a subscriber, and no other node
            may publish on its topic.
    """

    state: RobotListener
    commands: tuple[Publisher, ...]

    @abc.abstractmethod
    def __init__(self, setup: OutputSetup) -> None:
        """Connect to the robot.

        Args:
            setup: The group, and the node that drives it.

        Raises:
            ValueError: If this output cannot drive the group, or an option is invalid.
        """

    @abc.abstractmethod
    def send(self, step: ControlStep) -> None:
        """Send a tick's set-point: finite and within limits.

        The message must stop the robot within 100 ms if none follows, or hold it at the
        set-point.

        Args:
            step: The step, its set-point and increment on the group's axes only.
        """


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
