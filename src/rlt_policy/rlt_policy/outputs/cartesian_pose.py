"""Set-points as tool poses, for robots with a compliant Cartesian controller.

If this node falls silent, such a controller keeps the last pose, which `max_tracking_error` keeps
close to the measured one. A tool pose does not show how near the joints are to their limits, so
`joint_states` is watched for that.
"""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from pydantic import Field

from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry
from rlt_core.robot.robot_file import ToolEntry, ToolYawEntry
from rlt_node import qos
from rlt_node.conversions import fill_pose, stamp_of_tick
from rlt_policy.outputs import OutputSetup, RobotOutput
from rlt_policy.outputs.tool_state import ToolState


class CartesianPoseOptions(Entry):
    """Topics of the driver."""

    topic: str = Field("target_pose", description="set-points, geometry_msgs/msg/PoseStamped")
    state: str = Field("tcp_pose", description="measured pose, geometry_msgs/msg/PoseStamped")


class CartesianPose(RobotOutput):
    """Publishes the poses of a tool, with six degrees of freedom or pointing down."""

    def __init__(self, setup: OutputSetup) -> None:
        """Connect; see `RobotOutput`."""
        group = setup.group(ToolYawEntry, ToolEntry)
        options = setup.options(CartesianPoseOptions)
        self._setup = setup
        self._action = group.action
        self.state = ToolState(setup, group, options.state, setup.on_position)
        self._message = PoseStamped()
        self._message.header.frame_id = group.frame
        self._publisher = setup.node.create_publisher(
            PoseStamped, options.topic, qos.command(setup.lockstep)
        )
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the set-point; in lockstep its stamp identifies the tick."""
        self._message.header.stamp = (
            stamp_of_tick(step.tick, self._setup.rate_hz)
            if self._setup.lockstep
            else self._setup.node.get_clock().now().to_msg()
        )
        fill_pose(self._message, step.setpoint[:3], self._action.orientation(step.setpoint))
        self._publisher.publish(self._message)
