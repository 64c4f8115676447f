"""Where the joints are, by name: what outputs that drive joints listen to."""

from __future__ import annotations

import math
import time

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from rlt_core.contract import JOINT_INCREMENTS, Contract
from rlt_node import qos
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


class JointPositions:
    """Listens to `joint_states` and reports the contract's joints, in the contract's order."""

    def __init__(self, node: Node, contract: Contract, on_position: OnPosition) -> None:
        """Subscribe."""
        self.heard = {"joint_states": -math.inf}
        self._names = contract.action.names
        self._on_position = on_position
        node.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)

    def _on_joints(self, message: JointState) -> None:
        self.heard["joint_states"] = time.monotonic()
        measured = dict(zip(message.name, message.position, strict=False))
        position = np.array([measured.get(name, math.nan) for name in self._names])
        missing = [name for name in self._names if name not in measured]
        fault = (
            f"joint_states does not name the joints {', '.join(missing)}: check the robot driver "
            "and the contract's action names"
            if missing
            else ""
        )
        self._on_position(0, position, fault)
