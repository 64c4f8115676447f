"""The state of the tool and of the joints, for outputs that drive the tool."""

from __future__ import annotations

import math
import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from rlt_core.control.joint_states import JointSample
from rlt_core.control.stamps import Stamps
from rlt_core.robot.robot_file import ToolEntry, ToolYawEntry
from rlt_node import qos
from rlt_node.conversions import orientation_of_pose, place_of_pose, seconds, tick_of_stamp
from rlt_policy.outputs import OnPosition, OutputSetup
from rlt_policy.outputs.joint_limits import JointWatch
from rlt_policy.outputs.joint_state import JointListener
from rlt_policy.outputs.tool_watch import ToolWatch


class ToolState:
    """Subscribes to the tool's pose and the arm's joints and reports both as one state.

    A pose is reported once all joints that belong to it are known: those of its tick in lockstep,
    the next ones in real time. It is reported at once if either has a fault.
    """

    def __init__(
        self,
        setup: OutputSetup,
        entry: ToolYawEntry | ToolEntry,
        topic: str,
        on_position: OnPosition,
    ) -> None:
        """Subscribe.

        Args:
            setup: The setup of the output that drives the tool.
            entry: The tool and its joints.
            topic: Topic of the tool's pose.
            on_position: As in the setup, which may have another.
        """
        self._action = entry.action
        self._topic = topic
        self._rate_hz, self._lockstep = setup.rate_hz, setup.lockstep
        self._on_position = on_position
        # In lockstep a reset moves the arm from one tick to the next: a jump is not a fault.
        self._watch = JointWatch(entry.joints, math.inf if setup.lockstep else setup.dt)
        tilt_max = entry.tilt_max if isinstance(entry, ToolYawEntry) else None
        self._tool = ToolWatch(topic, entry.frame, tilt_max)
        self._stamps = Stamps()
        self._heard = -math.inf
        self._pose: tuple[int, NDArray[np.float64]] | None = None  # since the last report
        self._ticks: dict[str, int] = {}  # of the joints' samples since the last report
        self._fault = ""
        profile = qos.sensor(setup.lockstep)
        setup.node.create_subscription(PoseStamped, topic, self._on_pose, profile)
        self._joints = JointListener(
            setup.node, list(entry.joints.limits), entry.joints.topic, profile, self._on_joints
        )

    @property
    def heard(self) -> dict[str, float]:
        """When the pose, and the joint that is silent longest, were received."""
        return {self._topic: self._heard} | dict([self._joints.states.oldest])

    def _on_pose(self, message: PoseStamped) -> None:
        if not self._stamps.fresh([self._topic], seconds(message.header.stamp)):
            return
        self._heard = time.monotonic()
        orientation = orientation_of_pose(message)
        position = self._action.position(place_of_pose(message), orientation)
        self._pose = self._tick(message), position
        self._report(self._tool.check(message.header.frame_id, orientation))

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
