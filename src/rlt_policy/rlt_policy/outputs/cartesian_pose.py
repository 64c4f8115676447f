"""Set-points as tool poses, for robots with a compliant Cartesian controller.

If we fall silent, such a controller keeps the last pose, which the guard's leash holds close to
the measured one. What a tool pose cannot tell is how near the joints are to their limits: that is
watched in `joint_states`.
"""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from rlt_core.contract import Contract
from rlt_core.pose import AXES
from rlt_node import qos
from rlt_node.conversions import axes_of_pose, fill_pose, stamp_of_tick, tick_of_stamp
from rlt_node.parameters import declare
from rlt_policy.joints import JointSettings, JointWatch
from rlt_policy.outputs import OnPosition, RobotOutput


class CartesianPose(RobotOutput):
    """Publishes `target_pose`, listens to `tcp_pose` and `joint_states`.

    The axes are x, y, z, yaw with the tool down. A pose counts once the joints that belong to it
    are known: those of its tick in lockstep, the next ones in real time.
    """

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
        self._joints = JointWatch(declare(node, JointSettings))
        self._pose: tuple[int, NDArray[np.float64]] | None = None
        self._fault: tuple[int, str] | None = None
        self._message = PoseStamped()
        self._message.header.frame_id = contract.action.frame
        self._publisher = node.create_publisher(PoseStamped, "target_pose", qos.command(lockstep))
        profile = qos.sensor(lockstep)
        node.create_subscription(PoseStamped, "tcp_pose", self._on_pose, profile)
        node.create_subscription(JointState, "joint_states", self._on_joints, profile)

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
        self._pose = self._tick(message), axes_of_pose(message)
        self._report()

    def _on_joints(self, message: JointState) -> None:
        self._fault = self._tick(message), self._joints.check(message.name, message.position)
        self._report()

    def _tick(self, message: PoseStamped | JointState) -> int:
        return tick_of_stamp(message.header.stamp, self._rate_hz) if self._lockstep else 0

    def _report(self) -> None:
        if self._pose is None or self._fault is None or self._pose[0] != self._fault[0]:
            return
        (tick, position), (_, fault) = self._pose, self._fault
        self._pose = self._fault = None
        self._on_position(tick, position, fault)
