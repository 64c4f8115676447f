"""Which nodes a section of a parameter file addresses: our result must agree with ROS."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from rlt_node.parameter_files import addresses, meant_for, sections

PATTERNS = [
    "/**", "/*", "/**/learner", "/*/learner", "/lab/*/learner", "/**/lab/**/learner", "learner",
    "/learner", "/lab/r1/learner", "/lab/**", "/lab/r1/*", "/**/policy",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("namespace", ["/", "/lab", "/lab/r1"])
def test_a_pattern_addresses_the_nodes_that_it_addresses_in_ros(tmp_path, pattern, namespace):
    file = tmp_path / "some.yaml"
    file.write_text(f"{pattern}:\n  ros__parameters:\n    a: {{b: 1}}\n")
    assert sections(file) == {pattern: {"a.b": 1}}
    context = Context()
    rclpy.init(context=context, args=["--ros-args", "--params-file", str(file)])
    node = Node("learner", namespace=namespace, context=context)
    given = "a.b" in node._parameter_overrides
    name = node.get_fully_qualified_name()
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert addresses(pattern, name) == given


def test_namespaces_may_be_nested(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text("lab:\n  r1:\n    learner: {ros__parameters: {a: 1}}\n")
    assert sections(file) == {"lab/r1/learner": {"a": 1}}
    assert addresses("lab/r1/learner", "/lab/r1/learner")


def test_whom_arguments_are_meant_for(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text(
        "/**: {ros__parameters: {a: 1}}\n"
        "/**/learner: {ros__parameters: {b: 1}}\n"
        "/**/policy: {ros__parameters: {c: 1}}\n"
    )
    arguments = ["learner", "--ros-args", "--params-file", str(file), "-p", "d:=1"]
    assert meant_for(arguments, "/rlt/learner") == ({"a", "d"}, {"c"})
