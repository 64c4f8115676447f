"""Set-points as short joint trajectories, for `joint_trajectory_controller`.

Every message is a complete motion: through the set-point, and on to rest within 100 ms. The next
tick's message replaces it. If this node falls silent, the controller finishes the last one and
stops.
"""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from rlt_core.contract import Contract
from rlt_core.records import ControlStep
from rlt_core.settings import MotionLimits
from rlt_node import qos
from rlt_node.conversions import NANOSECONDS, doubles
from rlt_policy.outputs import OnPosition, RobotOutput, require_real_time
from rlt_policy.outputs.braking import Braking
from rlt_policy.outputs.joint_state import JointPositions, require_joint_axes


class JointTrajectories(RobotOutput):
    """Publishes `joint_trajectory`.

    Its stamp is zero, which means "from now on": no clock has to match the controller's.
    """

    def __init__(
        self,
        node: Node,
        contract: Contract,
        limits: MotionLimits,
        lockstep: bool,
        on_position: OnPosition,
    ) -> None:
        """Connect; see `RobotOutput`."""
        require_real_time("joint_trajectory", lockstep)
        require_joint_axes("joint_trajectory", contract)
        self._braking = Braking(contract.action.names, limits, contract.dt)
        self._names = list(contract.action.names)
        self.state = JointPositions(node, contract, on_position)
        self._publisher = node.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
        self.commands = (self._publisher,)

    def send(self, step: ControlStep) -> None:
        """Publish the motion through the set-point to rest."""
        points = [
            JointTrajectoryPoint(
                positions=doubles(point.position),
                velocities=doubles(point.velocity),
                time_from_start=Duration(nanosec=round(point.seconds * NANOSECONDS)),
            )
            for point in self._braking.points(step.setpoint, step.increment)
        ]
        self._publisher.publish(JointTrajectory(joint_names=self._names, points=points))
