"""Set-points as short joint trajectories, for `joint_trajectory_controller`.

Every message is a complete motion: through the set-point, and on to rest within 100 ms of when it
was sent. The next tick's message replaces it. If this node falls silent, the controller finishes
the last one: that is when the *command* rests; the arm rests once its servo has caught up.

A controller begins a new trajectory where it measures the joints, unless it is told what came
before: an arm that lags would be moved back at every message. So every message begins in the past,
with what was planned before, at a time on the controller's own clock. The controller never needs
the measured position, and it does not matter when in the meantime the message arrives.
"""

from __future__ import annotations

import time

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import NDArray
from pydantic import Field
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry
from rlt_core.robot.robot_file import JointsEntry, ToolEntry
from rlt_node import qos
from rlt_node.conversions import NANOSECONDS, doubles, stamp_of
from rlt_policy.outputs import OutputSetup, RobotOutput
from rlt_policy.outputs.arm_joints import arm_joints
from rlt_policy.outputs.driver_clock import DriverClock
from rlt_policy.outputs.joint_state import JointPositions
from rlt_policy.outputs.motion_plan import MotionPlan

NO_STAMP = (
    "{} has no stamp (0): robot output joint_trajectory reads the controller's clock from it; let "
    "the driver set stamps, as joint_state_broadcaster does, or choose forward_position"
)


class JointTrajectoryOptions(Entry):
    """Topics of the driver."""

    topic: str = Field("joint_trajectory", description="trajectory_msgs/msg/JointTrajectory")


class JointTrajectories(RobotOutput):
    """Publishes short trajectories.

    Their stamps are on the clock of the measured joints, which is the controller's: both are of
    the same controller manager. That clock need not agree with this machine's.
    """

    def __init__(self, setup: OutputSetup) -> None:
        """Connect; see `RobotOutput`."""
        setup.require_real_time()
        self._arm = arm = arm_joints(
            setup.group(JointsEntry, ToolEntry), setup.rate_hz
        )
        options = setup.options(JointTrajectoryOptions)
        self._plan = MotionPlan(arm.limits, setup.dt)
        self._clock = DriverClock()
        self._on_position = setup.on_position
        self.state = self._joints = JointPositions(
            setup.node, arm.names, arm.topic, self._take, arm.check, arm.unit
        )
        self._publisher = setup.node.create_publisher(JointTrajectory, options.topic, qos.COMMAND)
        self.commands = (self._publisher,)

    def _take(self, tick: int, position: NDArray[np.float64], fault: str) -> None:
        """Read the clock, and pass on the position."""
        newest = self._joints.newest
        if newest is not None and newest.stamp != 0.0:
            self._clock.note(newest.stamp, newest.received)
        elif newest is not None:
            fault = fault or NO_STAMP.format(self._arm.topic)
        self._on_position(tick, self._arm.position(position), fault)

    def send(self, step: ControlStep) -> None:
        """Publish the motion through the set-point to rest."""
        now = self._clock.at(time.monotonic())
        plan = self._plan.extend(*self._arm.command(step), now)
        begin = plan[0].seconds
        points = [
            JointTrajectoryPoint(
                positions=doubles(point.position / self._arm.unit),
                velocities=doubles(point.velocity / self._arm.unit),
                time_from_start=Duration(nanosec=round((point.seconds - begin) * NANOSECONDS)),
            )
            for point in plan
        ]
        message = JointTrajectory(joint_names=self._arm.names, points=points)
        message.header.stamp = stamp_of(begin)
        self._publisher.publish(message)
