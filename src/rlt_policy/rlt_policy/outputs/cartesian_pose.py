"""Set-points as tool poses, for robots with a compliant Cartesian controller.

If this node falls silent, such a controller keeps the last pose, which `max_tracking_error` keeps
close to the measured one. A tool pose does not show how near the joints are to their limits, so
`joint_states` is watched for that.
"""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from rlt_core.contract import Contract
from rlt_core.records import ControlStep
from rlt_core.settings import MotionLimits
from rlt_node import qos
from rlt_node.conversions import fill_pose, stamp_of_tick
from rlt_policy.outputs import OnPosition, RobotOutput
from rlt_policy.outputs.tool_state import ToolState, require_tool_axes


class CartesianPose(RobotOutput):
    """Publishes `target_pose`; the axes are x, y, z, yaw with the tool down."""

    def __init__(
        self,
        node: Node,
        contract: Contract,
        limits: MotionLimits,
        lockstep: bool,
        on_position: OnPosition,
    ) -> None:
        """Connect; see `RobotOutput`."""
        require_tool_axes("cartesian_pose", contract)
        self._node = node
        self._rate_hz = contract.rate_hz
        self._lockstep = lockstep
        self.state = ToolState(node, contract, lockstep, on_position)
        self._message = PoseStamped()
        self._message.header.frame_id = contract.action.frame
        self._publisher = node.create_publisher(PoseStamped, "target_pose", qos.command(lockstep))
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the set-point; in lockstep its stamp identifies the tick."""
        self._message.header.stamp = (
            stamp_of_tick(step.tick, self._rate_hz)
            if self._lockstep
            else self._node.get_clock().now().to_msg()
        )
        fill_pose(self._message, step.setpoint)
        self._publisher.publish(self._message)
