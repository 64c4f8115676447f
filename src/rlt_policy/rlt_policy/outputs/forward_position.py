"""Set-points as bare joint positions, for `forward_command_controller` and the like.

If this node falls silent, such a controller keeps the last positions, which `max_tracking_error`
keeps close to the measured ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from std_msgs.msg import Float64MultiArray

from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry
from rlt_core.robot.robot_file import JointsEntry, ToolEntry
from rlt_node import qos
from rlt_node.conversions import doubles
from rlt_policy.outputs import OutputSetup, RobotOutput
from rlt_policy.outputs.arm_joints import arm_joints
from rlt_policy.outputs.joint_state import JointPositions


class ForwardPositionOptions(Entry):
    """Topics of the driver, and its order of the joints: its messages carry no names."""

    topic: str = Field("position_commands", description="std_msgs/msg/Float64MultiArray")
    command_joints: tuple[str, ...] = Field(
        description="the arm's joints in the order of the driver's own configuration",
        examples=[["shoulder_pan_joint", "shoulder_lift_joint"]],
    )


class ForwardPosition(RobotOutput):
    """Publishes joint positions without names."""

    def __init__(self, setup: OutputSetup) -> None:
        """Connect; see `RobotOutput`."""
        setup.require_real_time()
        self._arm = arm = arm_joints(
            setup.group(JointsEntry, ToolEntry), setup.rate_hz
        )
        options = setup.options(ForwardPositionOptions)
        names, order = arm.names, options.command_joints
        if sorted(order) != sorted(names):
            raise ValueError(
                f"command_joints is ({', '.join(order)}), the joints of group "
                f"{setup.entry.group} are ({', '.join(names)}): state these in the order of the "
                "driver's configuration"
            )
        self._order = [names.index(name) for name in order]
        self._on_position = setup.on_position
        self.state = JointPositions(setup.node, names, arm.topic, self._take, arm.check, arm.unit)
        self._publisher = setup.node.create_publisher(Float64MultiArray, options.topic, qos.COMMAND)
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the joints of the set-point in the driver's order."""
        joints, _ = self._arm.command(step)
        positions = joints[self._order] / self._arm.unit
        self._publisher.publish(Float64MultiArray(data=doubles(positions)))

    def _take(self, tick: int, joints: NDArray[np.float64], fault: str) -> None:
        """Pass on the group's position."""
        self._on_position(tick, self._arm.position(joints), fault)
