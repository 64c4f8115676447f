"""A gripper's opening as one position, for `forward_command_controller` and the like.

If this node falls silent, such a controller keeps the last position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from std_msgs.msg import Float64MultiArray

from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry, Number
from rlt_core.robot.robot_file import GripperEntry
from rlt_node import qos
from rlt_node.conversions import doubles
from rlt_policy.outputs import OutputSetup, RobotOutput
from rlt_policy.outputs.joint_state import JointPositions


class GripperOptions(Entry):
    """Topics and range of the driver."""

    topic: str = Field("gripper_command", description="std_msgs/msg/Float64MultiArray of one value")
    state: str = Field("joint_states", description="measured joints, sensor_msgs/msg/JointState")
    joint: str = Field(description="name of the gripper's joint", examples=["finger_joint"])
    closed: Number = Field(description="the joint's position when closed", examples=[0.8])
    open: Number = Field(description="the joint's position when open", examples=[0.0])

    @model_validator(mode="after")
    def _has_a_range(self) -> GripperOptions:
        if self.closed == self.open:
            raise ValueError("Input should have closed and open at different positions")
        return self


class Gripper(RobotOutput):
    """Publishes the position of a gripper's joint."""

    def __init__(self, setup: OutputSetup) -> None:
        """Connect; see `RobotOutput`."""
        setup.require_real_time()
        setup.group(GripperEntry)
        self._options = options = setup.options(GripperOptions)
        self._on_position = setup.on_position
        self.state = JointPositions(setup.node, [options.joint], options.state, self._take)
        self._publisher = setup.node.create_publisher(Float64MultiArray, options.topic, qos.COMMAND)
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the joint's position for the opening."""
        opening = float(step.setpoint[0])
        closed, opened = self._options.closed, self._options.open
        position = closed + opening * (opened - closed)
        self._publisher.publish(Float64MultiArray(data=doubles(np.array([position]))))

    def _take(self, tick: int, position: NDArray[np.float64], fault: str) -> None:
        """Pass on the measured opening."""
        closed, opened = self._options.closed, self._options.open
        opening = (position - closed) / (opened - closed)
        self._on_position(tick, opening, fault)
