"""Set-points as tool velocities, for drivers that take twists.

A velocity lasts until it is replaced. If this node falls silent nothing replaces it, so this output
works only with a driver that stops by itself, and proves that it does before anything else moves.
A velocity does not contain a position: the loop is closed over the measured pose, except in a hold.
"""

from __future__ import annotations

import math
import time

import numpy as np
from geometry_msgs.msg import TwistStamped
from numpy.typing import NDArray
from pydantic import Field

from rlt_core.control.angles import all_near
from rlt_core.records import ControlStep
from rlt_core.robot.entries import Entry, Number
from rlt_core.robot.limits import column
from rlt_core.robot.robot_file import ToolYawEntry
from rlt_node import qos
from rlt_policy.outputs import OutputSetup, RobotOutput
from rlt_policy.outputs.setpoint_following import Following
from rlt_policy.outputs.stop_proof import StopProof
from rlt_policy.outputs.tool_state import ToolState


class TwistOptions(Entry):
    """Topics of the driver, its time-out, and the motion that proves it."""

    topic: str = Field("twist", description="velocities, geometry_msgs/msg/TwistStamped")
    state: str = Field("tcp_pose", description="measured pose, geometry_msgs/msg/PoseStamped")
    driver_stop_timeout_s: Number = Field(
        description="silence after which the driver stops the robot by itself, s; at most 0.1",
        examples=[0.1],
    )
    proof_twist: tuple[Number, ...] = Field(
        description="slow speed of the start-up proof per axis, m/s or rad/s: the robot really "
        "moves", examples=[[0.01, 0.0, 0.0, 0.0]],
    )
    proof_s: Number = Field(
        0.3, description="how long the proof moves the robot, s", ge=0.2, le=1.0
    )


class Twists(RobotOutput):
    """Publishes velocities, in the group's frame.

    No state is reported until the driver's stop is proved, so that no episode moves the robot.
    """

    def __init__(self, setup: OutputSetup) -> None:
        """Connect and begin the proof; see `RobotOutput`."""
        setup.require_real_time()
        group = setup.group(ToolYawEntry)
        options = setup.options(TwistOptions)
        self._proof = StopProof(
            options.proof_twist, options.driver_stop_timeout_s, options.proof_s, group.limits
        )
        self._node = node = setup.node
        self._timeout = options.driver_stop_timeout_s
        self._following = Following(group.limits, setup.dt)
        self._circular = group.action.circular
        # Last position of the robot; before its first state, the middle of the workspace. It says
        # which turn of an angle the limits mean.
        self._place = 0.5 * (column(group.limits, "min") + column(group.limits, "max"))
        self._sent_at = -math.inf
        self._on_position = setup.on_position
        self._message = TwistStamped()
        self._message.header.frame_id = group.frame
        self._publisher = node.create_publisher(TwistStamped, options.topic, qos.COMMAND)
        self.commands = (self._publisher,)
        self.state = ToolState(setup, group, options.state, self._on_state)
        self._timer = node.create_timer(setup.dt, self._prove)
        node.get_logger().warning(
            f"the robot is about to move for {options.proof_s:g} s with proof_twist "
            f"{list(options.proof_twist)}, to prove that its driver stops by itself"
        )

    def send(self, step: ControlStep) -> None:
        """Publish the tick's velocity."""
        if not self._proof.passed:
            return
        now = time.monotonic()
        if now - self._sent_at > self._timeout:
            self._following.rest()
        self._sent_at = now
        place = all_near(self._place, step.setpoint, self._circular)
        self._publish(self._following.velocity(step, place))

    def _on_state(self, tick: int, position: NDArray[np.float64], fault: str) -> None:
        finite = np.isfinite(position).all()
        if finite:
            self._place = all_near(position, self._place, self._circular)
        if self._proof.passed:
            self._on_position(tick, position, fault)  # the control loop holds if not finite
        elif finite:
            self._proof.measure(self._place, fault, time.monotonic())

    def _prove(self) -> None:
        """Continue the proof; on a timer, since the driver needs commands until it gets none."""
        twist = self._proof.command(time.monotonic())
        if twist is not None:
            self._publish(twist)
        if self._proof.failure:
            raise ValueError(self._proof.failure)
        if self._proof.passed:
            self._timer.cancel()
            self._node.get_logger().info(f"proved: {self._proof.result}")

    def _publish(self, velocity: NDArray[np.floating]) -> None:
        linear, angular = self._message.twist.linear, self._message.twist.angular
        linear.x, linear.y, linear.z, angular.z = (float(value) for value in velocity)
        self._message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._message)
