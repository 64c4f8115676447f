"""Where elements of proprioception come from."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import JointState

from rlt_node.conversions import fill_pose
from rlt_policy.observer.proprioception import Parts, element_of


def test_pose_elements():
    pose = PoseStamped()
    fill_pose(pose, (0.1, 0.2, 0.3, -0.4))
    values = [element_of(name).read(pose) for name in ("x", "y", "z", "yaw")]
    np.testing.assert_allclose(values, (0.1, 0.2, 0.3, -0.4), atol=1e-15)
    assert {element_of(name).source for name in ("x", "yaw")} == {"tcp_pose"}


def test_wrench_elements():
    wrench = WrenchStamped()
    wrench.wrench.force.y, wrench.wrench.torque.z = 2.0, 3.0
    assert element_of("fy").read(wrench) == 2.0
    assert element_of("tz").read(wrench) == 3.0
    assert element_of("fy").source == "tcp_wrench"


def test_joint_elements_go_by_name():
    elements = [element_of("wrist"), element_of("elbow.velocity")]
    joints = JointState(name=["elbow", "wrist"], position=[1.0, 2.0], velocity=[3.0, 4.0])
    parts = Parts(elements, "base_link").of("joint_states", joints, 7.0, 100.0)
    assert [element.read(parts[element.source]) for element in elements] == [2.0, 3.0]
    assert element_of("left.elbow.velocity").joint == "left.elbow"  # names may have dots


def test_a_message_of_one_joint_is_a_part_and_one_of_others_none():
    parts = Parts([element_of("wrist"), element_of("finger"), element_of("x")], "base_link")
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
        Parts([], "base_link").of(topic, message, 7.0, 100.0)
