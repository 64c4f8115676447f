"""Joint positions by name, for outputs that drive joints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from rlt_core.control.joint_states import JointSample, JointStates
from rlt_node import qos
from rlt_node.conversions import seconds
from rlt_policy.outputs import OnPosition


class JointListener:
    """Subscribes to measured joints, of any number of drivers on one topic.

    Attributes:
        states: The joints, merged by name.
    """

    def __init__(
        self,
        node: Node,
        names: Sequence[str],
        topic: str,
        profile: QoSProfile,
        on_news: Callable[[JointState, dict[str, JointSample], str], None],
        unit: float = 1.0,
    ) -> None:
        """Set up.

        Args:
            node: The node that subscribes.
            names: The joints to report.
            topic: Topic of the joints.
            profile: Quality of service of the topic.
            on_news: Called for every message with the message, the newest measurements of the
                joints that it updates, and a sentence that says what is wrong with it, empty if
                nothing is.
            unit: What one unit of the messages is, rad or m.
        """
        self.states = JointStates(names, topic, unit)
        self._on_news = on_news
        node.create_subscription(JointState, topic, self._on_joints, profile)

    def _on_joints(self, message: JointState) -> None:
        news: list[str] = []
        fault = ""
        try:
            news = self.states.merge(
                message.name, message.position, message.velocity,
                seconds(message.header.stamp), time.monotonic(),
            )
        except ValueError as error:
            fault = str(error)
        self._on_news(message, {name: self.states.samples[name] for name in news}, fault)


class JointPositions:
    """Reports joints, in a given order, once all have a new sample."""

    def __init__(
        self,
        node: Node,
        names: Sequence[str],
        topic: str,
        on_position: OnPosition,
        check: Callable[[Mapping[str, JointSample]], str] = lambda news: "",
        unit: float = 1.0,
    ) -> None:
        """Subscribe.

        Args:
            node: The node that subscribes.
            names: The joints, in their order.
            topic: Topic of the joints.
            on_position: As of `OutputSetup`, with the positions of the joints.
            check: Says why the robot must not move, from new samples; empty if it may.
            unit: What one unit of the messages is, rad or m.
        """
        self._names = names
        self._on_position = on_position
        self._check = check
        self._fresh: set[str] = set()
        self._joints = JointListener(node, names, topic, qos.SENSOR, self._on_news, unit)

    @property
    def heard(self) -> dict[str, float]:
        """When the joint that is silent longest was received; see `RobotListener.heard`."""
        return dict([self._joints.states.oldest])

    @property
    def newest(self) -> JointSample | None:
        """The joint that was received last; None before the first."""
        samples = self._joints.states.samples.values()
        return max(samples, key=lambda sample: sample.received, default=None)

    def _on_news(self, message: JointState, news: dict[str, JointSample], fault: str) -> None:
        self._fresh |= news.keys()
        fault = fault or self._check(news)
        if not fault and len(self._fresh) < len(self._names):
            return
        self._fresh.clear()
        samples = self._joints.states.samples
        position = [samples[name].position if name in samples else math.nan for name in self._names]
        self._on_position(0, np.array(position), fault)
