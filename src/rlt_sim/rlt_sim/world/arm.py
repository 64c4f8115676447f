"""The simulated arm: six axes, a parallel gripper, and a compliant Cartesian controller in MJCF.

The controller is a set of MuJoCo position actuators on the tool centre point (TCP).  A ``refsite``
makes their length a Cartesian coordinate, so stiffness, damping and force limits act along x, y, z
and about the tool's axes, and MuJoCo computes them in C at every 2 ms substep: this is Cartesian
impedance control, ``F = K (set-point - measured) - D velocity``, without a Python loop.

Rotation is measured as a rotation vector against a reference that points down as the tool does, so
it stays near zero and far from the singularity at a half turn.
"""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

JOINT_NAMES = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
AXIS_NAMES = ("x", "y", "z", "yaw")

STIFFNESS = np.array([1300.0, 1300.0, 1300.0, 8.0])
"""Cartesian stiffness of x, y, z [N/m] and yaw [N m/rad]."""
FORCE_LIMIT = np.array([12.0, 12.0, 12.0, 1.5])
"""Largest commanded force of x, y, z [N] and torque of yaw [N m]."""

_DAMPING = (55.0, 55.0, 60.0, 0.25)  # [N s/m], [N m s/rad]: near critical, 2 ticks of lag
# Seen from the base, the tool's z axis is down: yaw counts negative about it.
_GEARS = ("1 0 0 0 0 0", "0 1 0 0 0 0", "0 0 1 0 0 0", "0 0 0 0 0 -1")
_TILT_STIFFNESS, _TILT_DAMPING, _TILT_LIMIT = 2.5, 0.30, 1.5  # roll and pitch [N m/rad], [N m]
_HOME = np.array([-0.25, 0.3, 2.0, -0.73, -np.pi / 2, 0.0])
_DOWN = np.diag([1.0, -1.0, -1.0])  # tool frame at yaw 0: x as the base's, z towards the table
_IK_TOLERANCE = 1e-7
_IK_STEPS = 30

ARM_ASSETS = """
    <material name="shell" rgba="0.90 0.91 0.93 1" specular="0.35" shininess="0.5"/>
    <material name="joint" rgba="0.20 0.52 0.72 1" specular="0.4" shininess="0.6"/>
    <material name="dark" rgba="0.17 0.18 0.20 1" specular="0.2" shininess="0.3"/>
    <material name="metal" rgba="0.62 0.64 0.67 1" specular="0.6" shininess="0.7"/>
"""


def arm_mjcf(tool: str) -> str:
    """The arm's body tree, its base at the origin.

    Args:
        tool: MJCF of what the gripper holds, in the tool frame (origin at the TCP, z along the
            approach direction, metres).

    Returns:
        MJCF to be placed in ``<worldbody>``.
    """
    return f"""
    <site name="base_frame"/>
    <site name="down_frame" xyaxes="1 0 0 0 -1 0"/>
    <body name="base_link" gravcomp="1">
      <geom class="link" material="metal" type="cylinder" size=".085 .008" pos="0 0 .008"/>
      <geom class="link" material="shell" type="cylinder" size=".066 .043" pos="0 0 .055"/>
      <body name="shoulder_link" pos="0 0 .16" gravcomp="1">
        <joint name="shoulder_pan" axis="0 0 1" armature=".02"/>
        <geom class="link" material="joint" type="cylinder" size=".064 .012" pos="0 0 -.05"/>
        <geom class="link" material="shell" type="cylinder" size=".062 .045" pos="0 0 .005"
              mass=".5"/>
        <geom class="link" material="shell" type="cylinder" size=".060 .058" pos="0 .040 0"
              euler="90 0 0"/>
        <body name="upper_arm_link" pos="0 .138 0" gravcomp="1">
          <joint name="shoulder_lift" axis="0 1 0" armature=".02"/>
          <geom class="link" material="shell" type="cylinder" size=".060 .042" pos="0 0 0"
                euler="90 0 0"/>
          <geom class="link" material="joint" type="cylinder" size=".058 .007" pos="0 .047 0"
                euler="90 0 0"/>
          <geom class="link" material="shell" type="capsule" size=".046" fromto="0 0 0 0 0 .42"
                mass=".35"/>
          <geom class="link" material="shell" type="cylinder" size=".052 .050" pos="0 -.006 .42"
                euler="90 0 0"/>
          <geom class="link" material="joint" type="cylinder" size=".050 .007" pos="0 .048 .42"
                euler="90 0 0"/>
          <body name="forearm_link" pos="0 -.128 .42" gravcomp="1">
            <joint name="elbow" axis="0 1 0" armature=".015"/>
            <geom class="link" material="shell" type="cylinder" size=".050 .066" pos="0 .012 0"
                  euler="90 0 0"/>
            <geom class="link" material="joint" type="cylinder" size=".048 .006" pos="0 -.060 0"
                  euler="90 0 0"/>
            <geom class="link" material="shell" type="capsule" size=".037" fromto="0 0 0 0 0 .39"
                  mass=".25"/>
            <geom class="link" material="joint" type="cylinder" size=".038 .006" pos="0 -.045 .39"
                  euler="90 0 0"/>
            <geom class="link" material="shell" type="cylinder" size=".040 .040" pos="0 0 .39"
                  euler="90 0 0"/>
            <body name="wrist_1_link" pos="0 0 .39" gravcomp="1">
              <joint name="wrist_1" axis="0 1 0" armature=".004"/>
              <geom class="link" material="shell" type="cylinder" size=".040 .062" pos="0 .100 0"
                    euler="90 0 0" mass=".10"/>
              <geom class="link" material="joint" type="cylinder" size=".039 .006" pos="0 .168 0"
                    euler="90 0 0"/>
              <body name="wrist_2_link" pos="0 .125 0" gravcomp="1">
                <joint name="wrist_2" axis="0 0 1" armature=".003"/>
                <geom class="link" material="shell" type="cylinder" size=".039 .058" pos="0 0 .072"
                      mass=".08"/>
                <geom class="link" material="joint" type="cylinder" size=".038 .006"
                      pos="0 0 .136"/>
                <body name="wrist_3_link" pos="0 0 .10" gravcomp="1">
                  <joint name="wrist_3" axis="0 1 0" armature=".002"/>
                  <geom class="link" material="metal" type="cylinder" size=".036 .025"
                        pos="0 .062 0" euler="90 0 0" mass=".05"/>
                  {_gripper_mjcf(tool)}
                </body>
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>"""


def _gripper_mjcf(tool: str) -> str:
    """Gripper and wrist camera in the tool frame; the plug's end of the fingers is z = 0."""
    return f"""
    <body name="tool" pos="0 .225 0" xyaxes="1 0 0 0 0 -1" gravcomp="1">
      <site name="tcp" size=".002" rgba="0 0 0 0"/>
      <geom class="link" material="dark" type="cylinder" size=".033 .010" pos="0 0 -.128"/>
      <geom class="link" material="shell" type="box" size=".036 .024 .030" pos="0 0 -.088"
            mass=".30"/>
      <geom class="link" material="joint" type="box" size=".0365 .0245 .004" pos="0 0 -.066"/>
      <geom class="link" material="dark" type="box" size=".030 .019 .004" pos="0 0 -.055"/>
      <geom class="finger" pos="-.0105 0 -.0245" size=".0045 .0055 .0265"/>
      <geom class="finger" pos=".0105 0 -.0245" size=".0045 .0055 .0265"/>
      <geom class="link" material="dark" type="box" size=".006 .026 .005" pos="0 .046 -.090"/>
      <geom class="link" material="dark" type="box" size=".014 .009 .009" pos="0 .080 -.083"
            euler="45 0 0"/>
      <geom class="link" material="metal" type="cylinder" size=".006 .003" pos="0 .0725 -.0755"
            euler="45 0 0"/>
      <camera name="wrist" pos="0 .072 -.0545" xyaxes="1 0 0 0 -.7071 -.7071" fovy="32"/>
      {tool}
    </body>"""


FAR_GROUP = 2
"""Geometry group of what the policy's cameras cannot see: the arm above the fingers."""

ARM_DEFAULTS = f"""
    <joint damping="0.02"/>
    <default class="link">
      <geom contype="0" conaffinity="0" group="{FAR_GROUP}" mass="0.02"/>
    </default>
    <default class="detail">
      <geom contype="0" conaffinity="0" mass="0"/>
    </default>
    <default class="finger">
      <geom type="box" material="metal" contype="1" conaffinity="2" mass="0.01"/>
    </default>
"""


def actuators_mjcf() -> str:
    """The Cartesian controller: actuators x, y, z, yaw, then the two that hold the tool down."""
    axes = zip(AXIS_NAMES, _GEARS, STIFFNESS, _DAMPING, FORCE_LIMIT, strict=True)
    tilts = (
        (name, gear, _TILT_STIFFNESS, _TILT_DAMPING, _TILT_LIMIT)
        for name, gear in (("roll", "0 0 0 1 0 0"), ("pitch", "0 0 0 0 1 0"))
    )
    return "\n    ".join(
        f'<position name="{name}" site="tcp" gear="{gear}" kp="{kp}" kv="{kv}" '
        f'refsite="{"base_frame" if name in "xyz" else "down_frame"}" '
        f'forcerange="{-limit} {limit}"/>'
        for name, gear, kp, kv, limit in (*axes, *tilts)
    )


def place_tcp(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    pose: npt.NDArray[np.float64],
    tilt: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Put the arm at rest with its TCP at a pose, by Newton's method from the home posture.

    Args:
        model: the compiled world.
        data: its state; joint positions are overwritten, velocities cleared, kinematics updated.
        pose: (4,) float64, x, y, z [m] and yaw [rad] in the base frame.
        tilt: roll and pitch of the tool against straight down [rad].

    Raises:
        ValueError: the pose is out of the arm's reach.
    """
    site = model.site("tcp").id
    target = tool_rotation(float(pose[3]), tilt)
    data.qpos[:6], data.qvel[:] = _HOME, 0.0
    jacobian = np.zeros((6, model.nv))
    current, error = np.zeros(4), np.zeros(6)
    for _ in range(_IK_STEPS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error[:3] = pose[:3] - data.site_xpos[site]
        mujoco.mju_mat2Quat(current, (target @ data.site_xmat[site].reshape(3, 3).T).ravel())
        mujoco.mju_quat2Vel(error[3:], current, 1.0)
        if np.abs(error).max() < _IK_TOLERANCE:
            mujoco.mj_camlight(model, data)
            return
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        data.qpos[:6] += np.linalg.solve(jacobian[:, :6], error)
    raise ValueError(f"The arm cannot reach x, y, z, yaw = {np.round(pose, 4).tolist()} (m, rad).")


def tool_rotation(yaw: float, tilt: tuple[float, float] = (0.0, 0.0)) -> npt.NDArray[np.float64]:
    """Rotation matrix (3, 3) from tool to base of a tool that points down.

    Args:
        yaw: turn about the base's z axis [rad].
        tilt: roll and pitch against straight down [rad].
    """
    quat, matrix = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(9)
    mujoco.mju_quatIntegrate(quat, np.array([tilt[0], tilt[1], -yaw]), 1.0)
    mujoco.mju_quat2Mat(matrix, quat)
    return _DOWN @ matrix.reshape(3, 3)
