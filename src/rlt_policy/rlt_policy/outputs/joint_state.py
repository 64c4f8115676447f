"""Where the joints are, by name: what outputs that drive joints listen to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from rlt_core.contract import JOINT_INCREMENTS, Contract
from rlt_core.joint_states import JointSample, JointStates
from rlt_node import qos
from rlt_node.conversions import seconds
from rlt_policy.outputs import OnPosition


def require_joint_axes(output: str, contract: Contract) -> None:
    """Refuse a contract whose actions are no joint increments.

    Raises:
        ValueError: If they are not; names their kind.
    """
    if contract.action.kind != JOINT_INCREMENTS:
        raise ValueError(
            f"robot output {output} drives joints ({JOINT_INCREMENTS}), the contract's actions are "
            f"of kind {contract.action.kind} on {', '.join(contract.action.names)}: choose another "
            "output"
        )


class JointListener:
    """Listens to `joint_states`, of however many drivers.

    Args:
        node: The node that subscribes.
        names: The joints that are wanted.
        profile: Quality of service of the topic.
        on_news: Called for every message with the message, the newest measurements of those
            joints of which it is news, and the sentence what is wrong with it, empty if nothing is.

    Attributes:
        states: The joints, merged by name.
    """

    def __init__(
        self,
        node: Node,
        names: Sequence[str],
        profile: QoSProfile,
        on_news: Callable[[JointState, dict[str, JointSample], str], None],
    ) -> None:
        self.states = JointStates(names)
        self._on_news = on_news
        node.create_subscription(JointState, "joint_states", self._on_joints, profile)

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
    """Reports the contract's joints, in the contract's order, once there is news of all of them."""

    def __init__(self, node: Node, contract: Contract, on_position: OnPosition) -> None:
        """Subscribe."""
        self._names = contract.action.names
        self._on_position = on_position
        self._fresh: set[str] = set()
        self._joints = JointListener(node, self._names, qos.SENSOR, self._on_news)

    @property
    def heard(self) -> dict[str, float]:
        """When the joints that are silent longest were heard; see `RobotOutput.heard`."""
        return dict([self._joints.states.oldest])

    def _on_news(self, message: JointState, news: dict[str, JointSample], fault: str) -> None:
        self._fresh |= news.keys()
        if not fault and len(self._fresh) < len(self._names):
            return
        self._fresh.clear()
        samples = self._joints.states.samples
        position = [samples[name].position if name in samples else math.nan for name in self._names]
        self._on_position(0, np.array(position), fault)
