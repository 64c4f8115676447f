"""Where elements of proprioception come from."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import JointState

from rlt_core.action_space import ActionSpace, tool
from rlt_core.robot.robot_file import JointSource, PoseSource, WrenchSource
from rlt_node.conversions import fill_pose_down
from rlt_policy.observer.proprioception import Parts, elements_of

SOURCES = (
    PoseSource(type="pose", topic="tcp_pose", frame="base_link"),
    WrenchSource(type="wrench", topic="tcp_wrench", frame="base_link"),
    JointSource(type="joints", topic="joint_states"),
)
NOMINAL = (1.0, 0.0, 0.0, 0.0)


def element_of(name, sources=SOURCES):
    return elements_of([name], sources, ActionSpace((tool(nominal=NOMINAL),)))[0]


def test_pose_elements():
    pose = PoseStamped()
    fill_pose_down(pose, (0.1, 0.2, 0.3, -0.4))
    values = [element_of(name).read(pose) for name in ("x", "y", "z", "yaw")]
    np.testing.assert_allclose(values, (0.1, 0.2, 0.3, -0.4), atol=1e-15)
    assert {element_of(name).source for name in ("x", "yaw")} == {"tcp_pose"}


def test_a_tools_rotation_counts_from_its_nominal_orientation():
    pose = PoseStamped()
    fill_pose_down(pose, (0.1, 0.2, 0.3, -0.4))
    values = [element_of(name).read(pose) for name in ("rx", "ry", "rz")]
    np.testing.assert_allclose(values, (0.0, 0.0, -0.4), atol=1e-12)


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.5, 0.5)])
def test_a_pose_without_an_orientation_is_refused(turn):
    pose = PoseStamped()
    pose.header.frame_id = "base_link"
    pose.pose.orientation.x, pose.pose.orientation.y = turn[:2]
    pose.pose.orientation.z, pose.pose.orientation.w = turn[2:]
    with pytest.raises(ValueError, match="tcp_pose.*expected a unit quaternion"):
        Parts([], SOURCES).of("tcp_pose", pose, 7.0, 100.0)


def test_two_arms_are_told_apart_by_a_prefix():
    sources = [
        source.model_copy(update={"prefix": f"{side}.", "topic": f"{side}/{source.topic}"})
        for side in ("left", "right") for source in SOURCES[:2]
    ]
    assert element_of("right.x", sources).topic == "right/tcp_pose"
    assert element_of("left.fz", sources).topic == "left/tcp_wrench"


@pytest.mark.parametrize(
    ("name", "words"),
    [("fz", "has fz, but the robot file measures pose tcp_pose"), ("left.rx", "pose tcp_pose")],
)
@pytest.mark.parametrize("sources", [SOURCES[:1], (SOURCES[0], SOURCES[2])])
def test_what_the_robot_does_not_measure_is_named(name, words, sources):
    with pytest.raises(ValueError, match=words):
        element_of(name, sources)


def test_wrench_elements():
    wrench = WrenchStamped()
    wrench.wrench.force.y, wrench.wrench.torque.z = 2.0, 3.0
    assert element_of("fy").read(wrench) == 2.0
    assert element_of("tz").read(wrench) == 3.0
    assert element_of("fy").source == "tcp_wrench"


def test_joint_elements_go_by_name():
    elements = [element_of("wrist"), element_of("elbow.velocity")]
    joints = JointState(name=["elbow", "wrist"], position=[1.0, 2.0], velocity=[3.0, 4.0])
    parts = Parts(elements, SOURCES).of("joint_states", joints, 7.0, 100.0)
    assert [element.read(parts[element.source]) for element in elements] == [2.0, 3.0]
    assert element_of("left.elbow.velocity").joint == "left.elbow"  # names may have dots


def test_a_message_of_one_joint_is_a_part_and_one_of_others_none():
    parts = Parts([element_of("wrist"), element_of("finger"), element_of("x")], SOURCES)
    finger = JointState(name=["finger"], position=[0.04])
    assert set(parts.of("joint_states", finger, 7.0, 100.0)) == {"finger in joint_states"}
    assert parts.of("joint_states", JointState(name=["door"], position=[1.0]), 7.0, 100.0) == {}
    pose = PoseStamped()
    pose.header.frame_id = "base_link"
    assert parts.of("tcp_pose", pose, 7.0, 100.0) == {"tcp_pose": pose}


@pytest.mark.parametrize(
    ("topic", "message"), [("tcp_pose", PoseStamped()), ("tcp_wrench", WrenchStamped())]
)
@pytest.mark.parametrize("frame", ["tool0", ""])
def test_a_pose_or_wrench_in_another_frame_is_refused(topic, message, frame):
    message.header.frame_id = frame
    with pytest.raises(ValueError, match=f"{topic} .*'base_link'"):
        Parts([], SOURCES).of(topic, message, 7.0, 100.0)
