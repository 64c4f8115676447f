"""The joints of an arm, for outputs that drive joints: of a group of joints, or of a tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import joints
from rlt_core.control.axis_limits import AxesLimiter
from rlt_core.control.joint_states import JointSample
from rlt_core.records import ControlStep, Source
from rlt_core.robot.limits import AxisLimits
from rlt_core.robot.robot_file import (
    RADIANS,
    JointsEntry,
    Kinematics,
    ToolEntry,
)
from rlt_policy.kinematics import Pose
from rlt_policy.kinematics.damped_least_squares import DampedLeastSquares
from rlt_policy.kinematics.limits import JointLimits
from rlt_policy.kinematics.model import KinematicModel
from rlt_policy.outputs.joint_limits import JointWatch

Vector = NDArray[np.float64]

SAME = 1e-6
"""Set-points that differ by less are equal, SI: increments are float32."""
REACHED = 0.5
"""A set-point is out of reach if joints that could follow it leave more than this share of
`max_tracking_error`."""


class ArmJoints(Protocol):
    """Turns a group's positions into those of the joints that are driven, and back.

    Attributes:
        names: The joints, in their order.
        topic: Where they are measured.
        unit: What one unit of the driver's messages is, rad or m.
        limits: Their motion limits, in their order.
    """

    names: tuple[str, ...]
    topic: str
    unit: float
    limits: Mapping[str, AxisLimits]

    def check(self, news: Mapping[str, JointSample]) -> str:
        """Why the robot must not move, from new samples of the joints; empty if it may."""

    def position(self, joints: Vector) -> Vector:
        """The group's position where the joints (J,) are measured."""

    def command(self, step: ControlStep) -> tuple[Vector, Vector]:
        """Set-point and increment of the joints, float64 (J,), for a step of the group."""


def arm_joints(entry: JointsEntry | ToolEntry, rate_hz: float) -> ArmJoints:
    """The joints that drive a group.

    Raises:
        ValueError: If a tool has no kinematics, or they do not fit its joints.
        ModuleNotFoundError: If a tool needs MuJoCo and it is not installed.
    """
    return GroupOfJoints(entry) if isinstance(entry, JointsEntry) else ToolOfJoints(entry, rate_hz)


class GroupOfJoints:
    """A group whose axes are the joints."""

    def __init__(self, entry: JointsEntry) -> None:
        """Take limits and names of the group."""
        self.names, self.topic, self.limits = entry.action.names, entry.topic, entry.limits
        self.unit = RADIANS[entry.unit]

    def check(self, news: Mapping[str, JointSample]) -> str:
        """See `ArmJoints`."""
        return ""

    def position(self, joints: Vector) -> Vector:
        """See `ArmJoints`."""
        return joints

    def command(self, step: ControlStep) -> tuple[Vector, Vector]:
        """See `ArmJoints`."""
        return step.setpoint, np.asarray(step.increment, np.float64)


class ToolOfJoints:
    """A tool whose arm is driven by its joints, through inverse kinematics.

    The joints of a step follow from those of the step before; where there was none, or the
    set-point begins anew, from the measured ones. They have motion limits of their own, whatever
    the inverse kinematics ask for. In a hold they brake, wherever the set-point is.
    """

    def __init__(self, entry: ToolEntry, rate_hz: float) -> None:
        """Read the arm's URDF.

        Raises:
            ValueError: If the group has no kinematics, or they do not fit its joints.
            ModuleNotFoundError: If MuJoCo is not installed.
        """
        if entry.kinematics is None:
            raise ValueError(
                f"robot output {entry.output.type} drives joints, but group {entry.group} is a "
                "tool without kinematics: add kinematics to it in the robot file, or choose "
                "cartesian_pose"
            )
        watched = entry.joints.limits
        self.names, self.topic, self.unit = tuple(watched), entry.joints.topic, 1.0
        self.limits = _limits(entry, entry.kinematics)
        self._action = entry.action
        # One model per thread: measurements arrive in another one than the ticks.
        self._measuring = _model(entry.kinematics, self.names)
        self._solver = DampedLeastSquares(
            _model(entry.kinematics, self.names),
            JointLimits(*(
                [getattr(joint, name) for joint in watched.values()]
                for name in ("min", "max", "velocity")
            )),
            1.0 / rate_hz,
        )
        self._limiter = AxesLimiter(
            joints(entry.group, self.names), self.limits, 1.0 / rate_hz
        )
        self._watch = JointWatch(entry.joints, 1.0 / rate_hz)
        self._reach = REACHED * np.array([
            entry.limits.translation.max_tracking_error, entry.limits.rotation.max_tracking_error
        ])
        self._measured: Vector | None = None
        self._joints: Vector | None = None  # sent last
        self._setpoint: Vector | None = None  # of the group, when they were sent
        self._tick = -1  # when they were sent
        self._fault = ""

    def check(self, news: Mapping[str, JointSample]) -> str:
        """See `ArmJoints`; also says, once, that the last set-point was out of reach."""
        fault, self._fault = self._fault, ""
        return fault or self._watch.check(news)

    def position(self, joints: Vector) -> Vector:
        """See `ArmJoints`."""
        if not np.isfinite(joints).all():
            return np.full(self._action.size, np.nan)
        self._measured = joints
        pose = self._measuring.forward(joints)
        return self._action.position(pose.position, pose.orientation)

    def command(self, step: ControlStep) -> tuple[Vector, Vector]:
        """See `ArmJoints`."""
        before, measured = self._begin(step)
        wish = np.zeros_like(before)
        if step.source is not Source.HOLD:
            wish = self._wish(before, step.setpoint)
        sent, increment = self._limiter.limit(wish.tolist(), measured.tolist(), {})
        self._joints, self._setpoint, self._tick = np.array(sent), step.setpoint, step.tick
        return self._joints, np.array(increment)

    def _wish(self, before: Vector, setpoint: Vector) -> Vector:
        """The step of the joints towards a set-point; notes if it is out of their reach."""
        solution = self._solver.solve(
            before, setpoint[:3], np.array(self._action.orientation(setpoint))
        )
        errors = np.array([solution.position_error_m, solution.orientation_error_rad])
        if (errors > self._reach).any():
            at = f", {', '.join(solution.limited)} at the limit" if solution.limited else ""
            self._fault = (
                f"the arm cannot bring its tool to the set-point: {1e3 * errors[0]:.1f} mm and "
                f"{errors[1]:.3f} rad are left{at}; smallest singular value "
                f"{solution.smallest_singular_value:.3f}: keep the workspace within the arm's "
                "reach and off its singularities; the controller holds until the next episode"
            )
        return solution.joints - before

    def _begin(self, step: ControlStep) -> tuple[Vector, Vector]:
        """The joints before a step, and the measured ones.

        The former are those sent last, or the measured ones if the set-point begins anew.
        """
        if self._measured is None:
            raise RuntimeError("a step was sent before the joints were measured")
        measured = self._measured
        if self._joints is not None and self._setpoint is not None and step.tick == self._tick + 1:
            start = self._action.add(self._setpoint, np.asarray(step.increment, np.float64))
            if (self._action.distances(start, step.setpoint) < SAME).all():
                return self._joints, measured
        self._limiter.start(measured.tolist())
        return measured, measured


def _model(kinematics: Kinematics, names: Sequence[str]) -> KinematicModel:
    try:
        text = kinematics.urdf.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"URDF {kinematics.urdf} cannot be read ({error}): fix it") from error
    tcp = Pose(kinematics.tcp, kinematics.tcp_orientation)
    return KinematicModel(text, kinematics.base, kinematics.tip, names, tcp)


def _limits(entry: ToolEntry, kinematics: Kinematics) -> Mapping[str, AxisLimits]:
    """Motion limits of the joints, which hold at the margin before their ends."""
    margin = entry.joints.margin
    return {
        name: AxisLimits(
            min=joint.min + margin, max=joint.max - margin, velocity=joint.velocity,
            acceleration=kinematics.acceleration, max_tracking_error=margin,
        )
        for name, joint in entry.joints.limits.items()
    }
