"""Where the tool is and how the joints are: what outputs that drive the tool listen to."""

from __future__ import annotations

import math
import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from rlt_core.contract import Contract
from rlt_core.pose import AXES
from rlt_node import qos
from rlt_node.conversions import axes_of_pose, seconds, tick_of_stamp
from rlt_node.parameters import declare
from rlt_policy.joints import JointSettings, JointWatch
from rlt_policy.outputs import OnPosition


def require_tool_axes(output: str, contract: Contract) -> None:
    """Refuse a contract whose action axes are not those of a tool that points down.

    Raises:
        ValueError: If they are others; names both.
    """
    if contract.action.names != AXES:
        raise ValueError(
            f"robot output {output} drives the axes {', '.join(AXES)}, the contract has "
            f"{', '.join(contract.action.names)}: choose another output"
        )


class ToolState:
    """Listens to `tcp_pose` and `joint_states` and reports both as one state.

    A pose counts once the joints that belong to it are known: those of its tick in lockstep, the
    next ones in real time.
    """

    def __init__(
        self, node: Node, contract: Contract, lockstep: bool, on_position: OnPosition
    ) -> None:
        """Subscribe.

        Raises:
            ValueError: If the node's parameters hold no limits of the joints.
        """
        self.heard = {"tcp_pose": -math.inf, "joint_states": -math.inf}
        self._rate_hz = contract.rate_hz
        self._lockstep = lockstep
        self._on_position = on_position
        # In lockstep a reset places the arm anew from one tick to the next: no jump is a fault.
        period = math.inf if lockstep else contract.dt
        self._joints = JointWatch(declare(node, JointSettings), period)
        self._pose: tuple[int, NDArray[np.float64]] | None = None
        self._fault: tuple[int, str] | None = None
        profile = qos.sensor(lockstep)
        node.create_subscription(PoseStamped, "tcp_pose", self._on_pose, profile)
        node.create_subscription(JointState, "joint_states", self._on_joints, profile)

    def _on_pose(self, message: PoseStamped) -> None:
        self.heard["tcp_pose"] = time.monotonic()
        self._pose = self._tick(message), axes_of_pose(message)
        self._report()

    def _on_joints(self, message: JointState) -> None:
        self.heard["joint_states"] = now = time.monotonic()
        stamp = seconds(message.header.stamp)
        fault = self._joints.check(message.name, message.position, stamp, now)
        if self._fault is None or self._fault[0] != self._tick(message) or not self._fault[1]:
            self._fault = self._tick(message), fault
        self._report()

    def _tick(self, message: PoseStamped | JointState) -> int:
        return tick_of_stamp(message.header.stamp, self._rate_hz) if self._lockstep else 0

    def _report(self) -> None:
        if self._pose is None or self._fault is None or self._pose[0] != self._fault[0]:
            return
        (tick, position), (_, fault) = self._pose, self._fault
        self._pose = self._fault = None
        self._on_position(tick, position, fault)
