"""Set-points as tool poses, for robots with a compliant Cartesian controller.

If we fall silent, such a controller keeps the last pose, which the guard's leash holds close to
the measured one.
"""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node

from rlt_core.contract import Contract
from rlt_core.pose import AXES
from rlt_node import qos
from rlt_node.conversions import axes_of_pose, fill_pose, stamp_of_tick, tick_of_stamp
from rlt_policy.outputs import OnPosition, RobotOutput


class CartesianPose(RobotOutput):
    """Publishes `target_pose`, listens to `tcp_pose`; axes x, y, z, yaw with the tool down."""

    def __init__(
        self, node: Node, contract: Contract, lockstep: bool, on_position: OnPosition
    ) -> None:
        """Connect; see `RobotOutput`."""
        if contract.action.names != AXES:
            raise ValueError(
                f"robot output cartesian_pose drives the axes {', '.join(AXES)}, the contract has "
                f"{', '.join(contract.action.names)}: choose another output"
            )
        self._node = node
        self._rate_hz = contract.rate_hz
        self._lockstep = lockstep
        self._on_position = on_position
        self._message = PoseStamped()
        self._message.header.frame_id = contract.action.frame
        self._publisher = node.create_publisher(PoseStamped, "target_pose", qos.command(lockstep))
        node.create_subscription(PoseStamped, "tcp_pose", self._on_pose, qos.sensor(lockstep))

    def send(self, tick: int, setpoint: NDArray[np.float64]) -> None:
        """Publish the set-point; in lockstep its stamp says for which tick it is."""
        self._message.header.stamp = (
            stamp_of_tick(tick, self._rate_hz)
            if self._lockstep
            else self._node.get_clock().now().to_msg()
        )
        fill_pose(self._message, setpoint)
        self._publisher.publish(self._message)

    def _on_pose(self, message: PoseStamped) -> None:
        tick = tick_of_stamp(message.header.stamp, self._rate_hz) if self._lockstep else 0
        self._on_position(tick, axes_of_pose(message))
