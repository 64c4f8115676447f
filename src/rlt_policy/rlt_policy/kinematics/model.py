"""An arm's kinematics: where its joints put the tool, and how fast they move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlt_policy.kinematics import Pose, Vector
from rlt_policy.kinematics.checks import checked_orientation, checked_vector
from rlt_policy.kinematics.urdf import MOVING, Joint, chain, mujoco_urdf, read_joints

AT_THE_TIP = Pose()


class KinematicModel:
    """Forward kinematics and Jacobian of the tool centre point (TCP) in the base link's frame.

    Only the joints between base and tip link exist here. What is driven forms the joint vector, in
    the given order; the others do not move. Calls share one state: use it in one thread.

    Attributes:
        joints: The J driven joints as the URDF states them.
    """

    def __init__(
        self,
        urdf: str,
        base: str,
        tip: str,
        joints: Sequence[str],
        offset: Pose = AT_THE_TIP,
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        """Read the URDF.

        Args:
            urdf: The URDF's text. Files that it names are not needed.
            base: Name of the link in whose frame everything is stated.
            tip: Name of the link that carries the tool.
            joints: Names of the driven joints; joint vectors have this order.
            offset: The TCP in the frame of the tip link.
            fixed: Positions of joints that are not driven, rad or m; 0 if not stated.

        Raises:
            ValueError: If a name is unknown, a joint does not move the tip, or the URDF is
                incomplete.
            ModuleNotFoundError: If MuJoCo is not installed.
        """
        self._mujoco = _load_mujoco()
        known, stated = read_joints(urdf), dict(fixed or {})
        _require_known(known, joints, stated)
        to_base, to_tip = chain(known, base, tip)
        _require_moving(tip, to_base, to_tip, joints)
        for name, value in stated.items():
            checked_vector(f"the fixed position of joint {name}", [value], 1)
        self.joints = tuple(known[name] for name in joints)
        root = (to_base or to_tip)[0].parent
        spec = self._mujoco.MjSpec.from_string(mujoco_urdf(root, [*to_base, *to_tip], joints))
        x, y, z, w = checked_orientation("the TCP's offset", offset.orientation)
        position = checked_vector("the TCP's offset", offset.position, 3)
        spec.body(tip).add_site(name="tcp", pos=position, quat=[w, x, y, z])
        self._model = spec.compile()
        self._data = self._mujoco.MjData(self._model)
        for joint in (*to_base, *to_tip):
            if joint.name in stated:
                self._displace(joint, stated[joint.name])
        self._put_at_origin(base)
        # A driven joint has one coordinate, so that positions and speeds have the same order.
        self._order = np.array([self._model.joint(name).dofadr[0] for name in joints])
        # Views of MuJoCo's memory, and memory of ours, made once: both take longer than the rest.
        self._positions = self._data.qpos
        self._place, self._turn = self._data.site_xpos[0], self._data.site_xmat[0].reshape(3, 3)
        self._jacobian, self._difference = np.zeros((6, len(joints))), np.zeros(6)
        self._away, self._turned = self._difference[:3], self._difference[3:]
        self._between, self._quaternion = np.zeros((3, 3)), np.zeros(4)
        self._elements = self._between.reshape(9)

    def forward(self, joints: Vector) -> Pose:
        """The pose of the TCP at joint positions (J,), rad or m.

        Raises:
            ValueError: If they are not J finite numbers.
        """
        self.move(checked_vector("the joint position", joints, len(self.joints)))
        self._mujoco.mju_mat2Quat(self._quaternion, self._turn.ravel())
        x, y, z = self._place.tolist()
        qw, qx, qy, qz = self._quaternion.tolist()
        return Pose((x, y, z), (qx, qy, qz, qw))

    def jacobian(self, joints: Vector) -> Vector:
        """Velocity of the TCP per speed of each joint at joint positions (J,), rad or m.

        Returns:
            float64 (6, J): along x, y, z and about x, y, z, both in the base link's frame.

        Raises:
            ValueError: If they are not J finite numbers.
        """
        self.move(checked_vector("the joint position", joints, len(self.joints)))
        return self.jacobian_here()

    def move(self, joints: Vector | Sequence[float]) -> None:
        """Move the model to finite joint positions (J,), for what follows."""
        self._positions[self._order] = joints
        self._mujoco.mj_kinematics(self._model, self._data)

    def jacobian_here(self) -> Vector:
        """The Jacobian where the model is; see `jacobian`."""
        self._mujoco.mj_comPos(self._model, self._data)
        self._mujoco.mj_jacSite(
            self._model, self._data, self._jacobian[:3], self._jacobian[3:], 0
        )
        return self._jacobian[:, self._order]

    def rotation(self, orientation: Vector) -> Vector:
        """The rotation matrix (3, 3) of a unit quaternion x, y, z, w."""
        x, y, z, w = orientation
        matrix = np.zeros(9)
        self._mujoco.mju_quat2Mat(matrix, np.array([w, x, y, z]))
        return matrix.reshape(3, 3)

    def difference(self, position: Vector, rotation: Vector) -> Vector:
        """How far the TCP is from a pose where the model is.

        Args:
            position: x, y, z, m.
            rotation: Rotation matrix (3, 3).

        Returns:
            float64 (6,): translation, m, and rotation vector, rad, that lead to the pose; in the
            base link's frame. The next call overwrites it.
        """
        np.subtract(position, self._place, out=self._away)
        self._mujoco.mju_mulMatMatT(self._between, rotation, self._turn)
        self._mujoco.mju_mat2Quat(self._quaternion, self._elements)
        self._mujoco.mju_quat2Vel(self._turned, self._quaternion, 1.0)
        return self._difference

    def _displace(self, joint: Joint, position: float) -> None:
        """Move the child of a fixed joint as the joint would."""
        body = self._model.body(joint.child).id
        place, turn = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        if joint.kind == "prismatic":
            place[:] = position * np.array(joint.axis)
        else:
            self._mujoco.mju_axisAngle2Quat(turn, np.array(joint.axis), position)
        self._carry(body, self._model.body_pos[body], self._model.body_quat[body], place, turn)

    def _put_at_origin(self, base: str) -> None:
        """Make the base link's frame that of the world."""
        self._mujoco.mj_kinematics(self._model, self._data)
        body, place, turn = self._model.body(base).id, np.zeros(3), np.zeros(4)
        self._mujoco.mju_negPose(place, turn, self._data.xpos[body], self._data.xquat[body])
        for child in np.flatnonzero(self._model.body_parentid == 0)[1:]:  # the first is the world
            self._carry(
                child, place, turn, self._model.body_pos[child], self._model.body_quat[child]
            )

    def _carry(self, body: int, *poses: Vector) -> None:
        """Place a body in its parent.

        Args:
            body: Its number.
            poses: Position and quaternion (w, x, y, z) of a frame, and those of the body in it.
        """
        place, turn = np.zeros(3), np.zeros(4)
        self._mujoco.mju_mulPose(place, turn, *poses)
        self._model.body_pos[body], self._model.body_quat[body] = place, turn


def _load_mujoco() -> Any:
    """Import MuJoCo, which no robot needs whose driver takes poses.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "inverse kinematics needs MuJoCo, which is not installed: pip install mujoco, or use a "
            "robot output whose driver takes poses"
        ) from error
    return mujoco


def _require_known(
    known: Mapping[str, Joint], joints: Sequence[str], fixed: Mapping[str, float]
) -> None:
    """Reject names that the URDF does not have, and joints that are named twice."""
    for name in (*joints, *fixed):
        if name not in known:
            raise ValueError(
                f"the URDF has no joint {name!r}: its joints are {', '.join(known) or 'none'}"
            )
    for name in fixed:
        if known[name].kind not in MOVING:
            raise ValueError(
                f"joint {name} of the URDF is {known[name].kind} and has no position: leave it out"
            )
    if not joints or len({*joints, *fixed}) < len(joints) + len(fixed):
        raise ValueError(
            f"the driven joints are {list(joints)}, the fixed ones {list(fixed)}: expected at "
            "least one driven joint, and no name twice"
        )


def _require_moving(
    tip: str, to_base: Sequence[Joint], to_tip: Sequence[Joint], joints: Sequence[str]
) -> None:
    """Reject joints that do not move the tip link, and what would move it unnoticed."""
    moving = [joint.name for joint in to_tip if joint.kind in MOVING]
    for name in joints:
        if name not in moving:
            raise ValueError(
                f"joint {name} does not move the tip link {tip!r}: between it and the base link "
                f"move {', '.join(moving) or 'none'}; choose another tip, base or joint"
            )
    for joint in (*to_base, *to_tip):
        if joint.kind not in (*MOVING, "fixed"):
            raise ValueError(
                f"joint {joint.name} between base and tip link {tip!r} is {joint.kind}: expected "
                f"{', '.join(MOVING)} or fixed; choose a base link behind it"
            )
        if joint.mimics and {joint.name, joint.mimics} & {*joints}:
            raise ValueError(
                f"joint {joint.name} on the way to the tip link {tip!r} mimics {joint.mimics}: "
                "joints that move together are not supported; choose a tip link before it"
            )
