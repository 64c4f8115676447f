"""The state of the tool and of the joints, for outputs that drive the tool."""

from __future__ import annotations

import math
import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from rlt_core.contract import Contract
from rlt_core.control.joint_states import JointSample
from rlt_core.control.stamps import Stamps
from rlt_core.control.tool_pose import AXES
from rlt_node import qos
from rlt_node.conversions import axes_of_pose, orientation_of_pose, seconds, tick_of_stamp
from rlt_node.parameters import declare
from rlt_policy.outputs import OnPosition
from rlt_policy.outputs.joint_limits import JointSettings, JointWatch
from rlt_policy.outputs.joint_state import JointListener
from rlt_policy.outputs.tool_watch import ToolSettings, ToolWatch

POSE = "tcp_pose"


def require_tool_axes(output: str, contract: Contract) -> None:
    """Reject a contract whose action axes are not those of a tool that points down.

    Raises:
        ValueError: If they differ; names both.
    """
    if contract.action.names != AXES:
        raise ValueError(
            f"robot output {output} drives the axes {', '.join(AXES)}, the contract has "
            f"{', '.join(contract.action.names)}: choose another output"
        )


class ToolState:
    """Subscribes to `tcp_pose` and `joint_states` and reports both as one state.

    A pose is reported once all joints that belong to it are known: those of its tick in lockstep,
    the next ones in real time. It is reported at once if either has a fault.
    """

    def __init__(
        self, node: Node, contract: Contract, lockstep: bool, on_position: OnPosition
    ) -> None:
        """Subscribe.

        Raises:
            ValueError: If the node's parameters hold no limits of the joints or of the tool.
        """
        settings = declare(node, JointSettings)
        self._rate_hz = contract.rate_hz
        self._lockstep = lockstep
        self._on_position = on_position
        # In lockstep a reset moves the arm from one tick to the next: a jump is not a fault.
        self._watch = JointWatch(settings, math.inf if lockstep else contract.dt)
        self._tool = ToolWatch(declare(node, ToolSettings), contract.action.frame)
        self._stamps = Stamps()
        self._heard = -math.inf
        self._pose: tuple[int, NDArray[np.float64]] | None = None  # since the last report
        self._ticks: dict[str, int] = {}  # of the joints' samples since the last report
        self._fault = ""
        profile = qos.sensor(lockstep)
        node.create_subscription(PoseStamped, POSE, self._on_pose, profile)
        self._joints = JointListener(node, settings.joint_names, profile, self._on_joints)

    @property
    def heard(self) -> dict[str, float]:
        """When the pose, and the joint that is silent longest, were received."""
        return {POSE: self._heard} | dict([self._joints.states.oldest])

    def _on_pose(self, message: PoseStamped) -> None:
        if not self._stamps.fresh([POSE], seconds(message.header.stamp)):
            return
        self._heard = time.monotonic()
        self._pose = self._tick(message), axes_of_pose(message)
        self._report(self._tool.check(message.header.frame_id, orientation_of_pose(message)))

    def _on_joints(self, message: JointState, news: dict[str, JointSample], fault: str) -> None:
        self._ticks |= dict.fromkeys(news, self._tick(message))
        self._report(fault or self._watch.check(news))

    def _tick(self, message: PoseStamped | JointState) -> int:
        return tick_of_stamp(message.header.stamp, self._rate_hz) if self._lockstep else 0

    def _report(self, fault: str) -> None:
        """Report the pose if its joints have arrived or there is a fault."""
        self._fault = self._fault or fault
        if self._pose is None:
            return
        tick, position = self._pose
        complete = all(self._ticks.get(name) == tick for name in self._joints.states.heard)
        if complete or self._fault:
            fault, self._fault, self._pose = self._fault, "", None
            self._ticks.clear()
            self._on_position(tick, position, fault)
