"""Set-points as bare joint positions, for `forward_command_controller` and the like.

If this node falls silent, such a controller keeps the last positions, which `max_tracking_error`
keeps close to the measured ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from rlt_core.contract import Contract
from rlt_core.records import ControlStep
from rlt_core.settings import MotionLimits, setting
from rlt_node import qos
from rlt_node.conversions import doubles
from rlt_node.parameters import declare
from rlt_policy.outputs import OnPosition, RobotOutput, require_real_time
from rlt_policy.outputs.joint_state import JointPositions, require_joint_axes


@dataclass(frozen=True)
class ForwardSettings:
    """The driver's order of the joints; its messages carry no names."""

    command_joints: list[str] = setting(
        [], "the action's joints in the order of the driver's own configuration"
    )


class ForwardPosition(RobotOutput):
    """Publishes `position_commands`."""

    def __init__(
        self,
        node: Node,
        contract: Contract,
        limits: MotionLimits,
        lockstep: bool,
        on_position: OnPosition,
    ) -> None:
        """Connect; see `RobotOutput`."""
        require_real_time("forward_position", lockstep)
        require_joint_axes("forward_position", contract)
        names, order = contract.action.names, declare(node, ForwardSettings).command_joints
        if sorted(order) != sorted(names):
            raise ValueError(
                f"command_joints is ({', '.join(order)}), the action's joints are "
                f"({', '.join(names)}): state these in the order of the driver's configuration"
            )
        self._order = [names.index(name) for name in order]
        self.state = JointPositions(node, contract, on_position)
        self._publisher = node.create_publisher(Float64MultiArray, "position_commands", qos.COMMAND)
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the set-point in the driver's order."""
        self._publisher.publish(Float64MultiArray(data=doubles(step.setpoint[self._order])))
