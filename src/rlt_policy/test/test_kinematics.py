"""A URDF becomes an arm: poses and Jacobian as its table of kinematics says, and clear errors."""

from __future__ import annotations

import dataclasses
import re
import sys

import numpy as np
import pytest
from arms import LIMITS, NAMES, UR5E, WORKING, affine, quaternion, rotation
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rlt_policy.kinematics import Pose
from rlt_policy.kinematics.limits import JointLimits, require_limits
from rlt_policy.kinematics.model import KinematicModel

ANGLES = st.tuples(*[st.floats(-np.pi, np.pi)] * 6).map(np.array)
OFFSET = Pose((0.01, -0.02, 0.15), (0.0, 0.6, 0.0, 0.8))
# Universal Robots' table: a, d (m), alpha (rad).
TABLE = (
    (0.0, 0.1625, np.pi / 2), (-0.425, 0.0, 0.0), (-0.3922, 0.0, 0.0),
    (0.0, 0.1333, np.pi / 2), (0.0, 0.0997, -np.pi / 2), (0.0, 0.0996, 0.0),
)
MESHES = (
    '<visual><geometry><mesh filename="package://nowhere/{0}.dae"/></geometry></visual>'
    '<collision><geometry><mesh filename="package://nowhere/{0}.stl"/></geometry></collision>'
    '<inertial><mass value="0"/><inertia ixx="0" ixy="0" ixz="0" iyy="9" iyz="0" izz="0"/>'
    "</inertial>"
)
GRIPPER = """
  <link name="finger"/><link name="thumb"/>
  <joint name="finger_joint" type="prismatic">
    <parent link="tool0"/><child link="finger"/><origin xyz="0 0 0.1"/><axis xyz="0 2 0"/>
    <limit lower="0" upper="0.04" velocity="0.1" effort="9"/>
  </joint>
  <joint name="thumb_joint" type="prismatic">
    <parent link="tool0"/><child link="thumb"/><axis xyz="0 -1 0"/><mimic joint="finger_joint"/>
    <limit lower="0" upper="0.04" velocity="0.1" effort="9"/>
  </joint>
  <transmission name="any"/><gazebo reference="finger"/>
</robot>"""
WITH_GRIPPER = re.sub(
    r'<link name="(\w+)"/>', lambda link: f'<link name="{link[1]}">{MESHES.format(link[1])}</link>',
    UR5E,
).replace("</robot>", GRIPPER)


def arm(urdf=UR5E, base="base", tip="tool0", joints=NAMES, **more):
    return KinematicModel(urdf, base, tip, joints, **more)


UR5E_ARM = arm()
WITH_OFFSET = arm(offset=OFFSET)


def matrix(pose):
    return affine(pose.position, rotation(pose.orientation))


def by_the_table(angles):
    """The pose of tool0 in base, (4, 4)."""
    pose = np.eye(4)
    for angle, (a, d, alpha) in zip(angles, TABLE, strict=True):
        about_z, about_x = (rotation(quaternion(v)) for v in ((0, 0, angle), (alpha, 0, 0)))
        pose = pose @ affine(about_z @ [a, 0.0, d], about_z @ about_x)
    return pose


@hypothesis_settings(deadline=None)
@given(ANGLES)
def test_poses_are_those_of_the_makers_table(angles):
    pose = UR5E_ARM.forward(angles)
    np.testing.assert_allclose(matrix(pose), by_the_table(angles), atol=1e-12)
    assert np.linalg.norm(pose.orientation) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(
        matrix(WITH_OFFSET.forward(angles)), by_the_table(angles) @ matrix(OFFSET), atol=1e-12
    )


@hypothesis_settings(deadline=None)
@given(ANGLES)
def test_the_jacobian_is_the_change_of_the_pose(angles):
    jacobian, small = WITH_OFFSET.jacobian(angles), 1e-6
    for index, step in enumerate(small * np.eye(6)):
        after, before = (
            matrix(WITH_OFFSET.forward(angles + sign * step)) for sign in (1.0, -1.0)
        )
        moved = (after - before)[:3, 3] / (2.0 * small)
        turn = after[:3, :3] @ before[:3, :3].T
        turned = (turn - turn.T)[[2, 0, 1], [1, 2, 0]] / (4.0 * small)
        np.testing.assert_allclose(jacobian[:, index], [*moved, *turned], atol=1e-7)


def test_the_order_is_that_of_the_names():
    backwards = arm(joints=NAMES[::-1])
    assert [joint.name for joint in backwards.joints] == NAMES[::-1]
    assert backwards.forward(WORKING[::-1]) == UR5E_ARM.forward(WORKING)
    np.testing.assert_array_equal(
        backwards.jacobian(WORKING[::-1]), UR5E_ARM.jacobian(WORKING)[:, ::-1]
    )


def test_the_base_may_be_any_link_that_the_joints_do_not_move():
    in_base = by_the_table(WORKING)
    base_in_world = affine([0.3, -0.2, 0.75], rotation(quaternion([0.0, 0.0, 1.2])))
    np.testing.assert_allclose(
        matrix(arm(base="world").forward(WORKING)), base_in_world @ in_base, atol=1e-12
    )
    table = (
        '<link name="table"/><joint name="at_table" type="fixed"><parent link="world"/>'
        '<child link="table"/><origin xyz="1 2 0.5" rpy="0.1 -0.2 3"/></joint></robot>'
    )
    roll, pitch, yaw = (rotation(quaternion(v)) for v in np.diag([0.1, -0.2, 3.0]))
    table_in_world = affine([1.0, 2.0, 0.5], yaw @ pitch @ roll)
    beside = arm(UR5E.replace("</robot>", table), base="table")
    np.testing.assert_allclose(
        matrix(beside.forward(WORKING)),
        np.linalg.inv(table_in_world) @ base_in_world @ in_base, atol=1e-12,
    )
    turn = np.linalg.inv(table_in_world)[:3, :3] @ base_in_world[:3, :3]
    np.testing.assert_allclose(
        beside.jacobian(WORKING), np.kron(np.eye(2), turn) @ UR5E_ARM.jacobian(WORKING), atol=1e-12
    )


@pytest.mark.parametrize("stated", [{}, {"wrist_3_joint": 0.4, "shoulder_pan_joint": -1.0}])
def test_joints_that_are_not_driven_stay_where_they_are_stated(stated):
    angles = np.array([stated.get("shoulder_pan_joint", 0.0), -1.2, 1.7, -2.0, -1.5, 0.0])
    angles[5] = stated.get("wrist_3_joint", 0.0)
    pose = arm(joints=NAMES[1:5], fixed=stated).forward(angles[1:5])
    np.testing.assert_allclose(matrix(pose), by_the_table(angles), atol=1e-12)


def test_meshes_masses_and_a_gripper_change_nothing():
    assert arm(WITH_GRIPPER).forward(WORKING) == UR5E_ARM.forward(WORKING)
    fingertip = arm(WITH_GRIPPER, tip="finger", fixed={"finger_joint": 0.03}).forward(WORKING)
    at = by_the_table(WORKING) @ [0.0, 0.03, 0.1, 1.0]
    np.testing.assert_allclose(fingertip.position, at[:3], atol=1e-12)


FLOATING = UR5E.replace('"wrist_3_to_tool0" type="fixed"', '"wrist_3_to_tool0" type="floating"')
MIMIC = UR5E.replace(
    '<limit lower="-3.141592654"', '<mimic joint="shoulder_lift_joint"/><limit lower="-3"'
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"urdf": ""}, "is not XML"),
        ({"urdf": "<mujoco/>"}, "is a <mujoco>: expected a URDF"),
        ({"urdf": UR5E.replace("0.0996", "${d6}")}, "has '${d6}': expected a finite number"),
        ({"urdf": UR5E.replace('"0 0 0.0996"', '"0 0"')}, "has '0 0': expected three numbers"),
        ({"urdf": UR5E.replace('xyz="0 0 1"', 'xyz="0 0 0"', 1)}, "has an axis of zeros"),
        ({"urdf": UR5E.replace('child link="tool0"', "child")}, "the child '': expected all four"),
        ({"urdf": UR5E.replace("elbow_joint", "wrist_1_joint")}, "have the name 'wrist_1_joint'"),
        ({"urdf": UR5E.replace('child link="base"', 'child link="forearm"')},
         "have the child 'forearm'"),
        ({"urdf": UR5E.replace('parent link="world"', 'parent link="tool0"')}, "form a loop"),
        ({"urdf": FLOATING}, "wrist_3_to_tool0 between base and tip link 'tool0' is floating"),
        ({"urdf": MIMIC}, "elbow_joint on the way to the tip link 'tool0' mimics shoulder_lift"),
        ({"tip": "hand"}, "no tip link 'hand': choose one of base, forearm, shoulder, tool0"),
        ({"base": "foot"}, "no base link 'foot'"),
        ({"urdf": UR5E.replace("world", "base", 1).replace('parent link="base"',
          'parent link="pedestal"', 1), "base": "world"}, "connect the base link 'world'"),
        ({"joints": ["elbow"]}, "no joint 'elbow': its joints are world_to_base, shoulder_pan"),
        ({"joints": []}, "expected at least one driven joint"),
        ({"joints": [*NAMES, "elbow_joint"]}, "no name twice"),
        ({"fixed": {"elbow_joint": 1.0}}, "no name twice"),
        ({"fixed": {"elbow": 1.0}}, "no joint 'elbow'"),
        ({"fixed": {"world_to_base": 1.0}}, "world_to_base of the URDF is fixed and has no"),
        ({"joints": NAMES[:5], "fixed": {"wrist_3_joint": np.nan}}, "joint wrist_3_joint is [nan]"),
        ({"tip": "wrist_2"}, "wrist_3_joint does not move the tip link 'wrist_2'"),
        ({"base": "forearm"}, "joint shoulder_pan_joint does not move the tip link 'tool0'"),
        ({"joints": [*NAMES, "wrist_3_to_tool0"]}, "joint wrist_3_to_tool0 does not move"),
        ({"tip": "base"}, "between it and the base link move none"),
        ({"offset": Pose((0.0, 0.0, np.inf))}, "the TCP's offset is (0.0, 0.0, inf)"),
        ({"offset": Pose(orientation=(0.0, 0.0, 0.0, 0.9))}, "has length 0.9"),
    ],
)
def test_what_does_not_fit_is_named(changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        arm(**changes)


@pytest.mark.parametrize("joints", [np.zeros(5), [0.0, 0.0, 0.0, 0.0, 0.0, np.nan], ["a"] * 6])
def test_joint_positions_must_be_finite_numbers(joints):
    with pytest.raises(ValueError, match="expected 6 finite numbers"):
        UR5E_ARM.forward(joints)


def test_without_mujoco_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mujoco"):
        arm()


# ---- Limits


WITHIN = JointLimits([-3.0] * 6, [3.0] * 6, [2.0] * 6)


def test_limits_are_not_wider_than_those_of_the_urdf():
    for limits in (LIMITS, WITHIN):
        require_limits(UR5E_ARM.joints, limits)
    rounded = JointLimits([-6.2832, -6.2832, -3.1416] * 2, [3.0] * 6, [3.1416] * 6)
    require_limits(UR5E_ARM.joints, rounded)
    unstated = re.sub("<limit.*/>", "", UR5E)
    require_limits(arm(unstated).joints, JointLimits([-99.0] * 6, [99.0] * 6, [9.0] * 6))
    zeros = re.sub("<limit.*/>", '<limit lower="0" upper="0" velocity="0"/>', UR5E)
    require_limits(arm(zeros).joints, JointLimits([-99.0] * 6, [99.0] * 6, [9.0] * 6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": []}, "low, high and velocity have 0, 6 and 6 values for the joints shoulder_pan"),
        ({"low": [-3.0] * 5 + [3.0]}, "joint wrist_3_joint has the limits 3 and 3"),
        ({"high": [3.0] * 5 + [np.inf]}, "joint wrist_3_joint has the limits -3 and inf"),
        ({"low": [-3.0] * 5 + [np.nan]}, "joint wrist_3_joint has the limits nan and 3"),
        ({"velocity": [2.0] * 5 + [0.0]}, "joint wrist_3_joint has the velocity limit 0"),
        ({"velocity": [2.0] * 5 + [4.0]}, "velocity limit 4, the URDF allows 3.14159"),
        ({"high": [3.0] * 2 + [4.0] * 4}, "limits -3 and 4, the URDF allows -3.14159 to 3.14159"),
    ],
)
def test_limits_that_do_not_fit_are_named(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        require_limits(UR5E_ARM.joints, dataclasses.replace(WITHIN, **change))
