"""Checks the joints of a robot that is driven by tool poses: near a limit it must not move."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rlt_core.control.joint_states import JointSample
from rlt_core.robot.robot_file import WatchedJoints


class JointWatch:
    """Checks that measured joints are plausible and keep off their limits.

    Cartesian motion limits check neither. A joint that moved further since the previous sample than
    its speed allows has jumped: a slipped encoder, or a driver that was restarted.
    """

    def __init__(self, joints: WatchedJoints, period: float) -> None:
        """Set up.

        Args:
            joints: The joints and their limits.
            period: Control period in seconds: receipt times are not more accurate than that.
        """
        self._joints = joints
        self._period = period
        self._last: dict[str, JointSample] = {}

    def check(self, news: Mapping[str, JointSample]) -> str:
        """Return why the robot must not move, empty if it may.

        Args:
            news: The newest measurements, by name, of any of the watched joints.
        """
        faults = [self._fault(name, sample) for name, sample in news.items()]
        return next((fault for fault in faults if fault), "")

    def _fault(self, name: str, sample: JointSample) -> str:
        """The fault of a joint, empty if there is none."""
        limits, margin, topic = self._joints.limits[name], self._joints.margin, self._joints.topic
        last, value = self._last.pop(name, None), sample.position
        if not math.isfinite(value):
            return f"joint {name} in {topic} is {value}: check the robot driver"
        limit = limits.min if value < limits.min + margin else limits.max
        if value < limits.min + margin or value > limits.max - margin:
            return (
                f"joint {name} in {topic} is at {value:.3f} rad, within {margin:g} rad of its "
                f"limit {limit:g}: move it away with the robot's own controls, or reset"
            )
        self._last[name] = sample
        return "" if last is None else self._jumped(name, sample, last)

    def _jumped(self, name: str, sample: JointSample, last: JointSample) -> str:
        """Report that a joint moved faster than it can, empty if it did not.

        The time between two samples is the longer of the differences of their stamps and of their
        receipt times: a stalled receiver gets several at once, and not every driver sets stamps.
        """
        elapsed = max(self._period, sample.stamp - last.stamp, sample.received - last.received)
        speed = self._joints.limits[name].velocity
        moved = abs(sample.position - last.position)
        if moved <= speed * elapsed:
            return ""
        return (
            f"joint {name} in {self._joints.topic} jumped by {moved:.3f} rad in {elapsed:.3f} s, "
            f"faster than its velocity limit {speed:g} rad/s: check the robot driver and its "
            "encoders; the controller holds until the next episode"
        )
