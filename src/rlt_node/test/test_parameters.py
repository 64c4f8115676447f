"""Settings become described, ranged parameters; what does not fit is rejected by name."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from rlt_core.settings import setting
from rlt_node.parameters import declare, refuse_unknown

HERE = os.path.dirname(__file__)


@dataclass(frozen=True)
class Settings:
    speed: float = setting(0.5, "speed, m/s", low=0.0, high=1.0)
    ticks: int = setting(3, "ticks", low=1)
    mode: str = setting("slow", "pace", choices=("slow", "fast"))
    on: bool = setting(True, "whether it is on")
    limits: list[float] = setting([], "limits, m", low=0.0)
    folder: str = setting("", "where it writes", path=True)


@pytest.fixture
def make():
    context = Context()
    rclpy.init(context=context)
    nodes = []

    def node(**overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node("tested", context=context, parameter_overrides=given))
        return nodes[-1]

    yield node
    for made in nodes:
        made.destroy_node()
    rclpy.shutdown(context=context)


def test_defaults(make):
    assert declare(make(), Settings) == Settings()


def test_overrides(make):
    node = make(speed=0.25, ticks=7, mode="fast", on=False, limits=[1.0, 2.0])
    assert declare(node, Settings) == Settings(0.25, 7, "fast", False, [1.0, 2.0])
    refuse_unknown(node)


def test_a_node_offers_only_what_concerns_it(make):
    node = make()
    assert declare(node, Settings, without=("speed", "mode")) == Settings()
    assert not node.has_parameter("speed") and node.has_parameter("ticks")
    with pytest.raises(ValueError, match="speed"):
        misled = make(speed=0.1)
        declare(misled, Settings, without=("speed",))
        refuse_unknown(misled)


def test_description_range_and_write_protection(make):
    node = make()
    declare(node, Settings)
    speed, mode = node.describe_parameter("speed"), node.describe_parameter("mode")
    assert speed.description == "speed, m/s"
    assert speed.read_only
    assert (speed.floating_point_range[0].from_value, speed.floating_point_range[0].to_value) == (
        0.0, 1.0,
    )
    assert mode.additional_constraints == "one of: slow, fast"


@pytest.mark.parametrize(
    "bad",
    [{"speed": 1.5}, {"ticks": 0}, {"mode": "warp"}, {"limits": [1.0, -1.0]}, {"speed": "quick"}],
    ids=str,
)
def test_refused(make, bad):
    with pytest.raises((ValueError, ParameterException), match=next(iter(bad))):
        declare(make(**bad), Settings)


def test_some_fields_only(make):
    node = make(ticks=7)
    assert declare(node, Settings, only=("ticks",)) == Settings(ticks=7)
    assert not node.has_parameter("speed")


def test_typing_errors_are_named(make):
    node = make(sped=0.1)
    declare(node, Settings)
    with pytest.raises(ValueError, match=r"parameter\(s\) sped \(did .*this node has .*speed"):
        refuse_unknown(node)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"speed": 1}, {"speed": 1.0}),
        ({"limits": [1, 2]}, {"limits": [1.0, 2.0]}),
        ({"ticks": 1e3}, {"ticks": 1000}),
        ({"on": 0}, {"on": False}),
        ({"folder": "~/runs"}, {"folder": os.path.expanduser("~/runs")}),
    ],
    ids=str,
)
def test_values_may_be_written_as_people_write_them(make, written, meant):
    found = declare(make(**written), Settings)
    assert found == Settings(**meant)
    (name,) = meant
    assert type(getattr(found, name)) is type(meant[name])


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"mode": 7}, "parameter mode is 7, expected text .*quotes"),
        ({"ticks": 2.5}, "parameter ticks is 2.5, expected a whole number"),
        ({"ticks": True}, "parameter ticks is True, expected a whole number"),
        ({"on": 2}, "parameter on is 2, expected true or false"),
        ({"limits": 1.0}, "parameter limits is 1.0, expected a list, each a number"),
        ({"limits": ["wide"]}, "parameter limits is 'wide', expected a number"),
    ],
    ids=str,
)
def test_values_that_mean_nothing_are_refused_in_a_sentence(make, written, sentence):
    with pytest.raises(ValueError, match=sentence):
        declare(make(**written), Settings)


PROGRAM = """
import rclpy
from rclpy.node import Node
from rlt_node.parameters import declare, refuse_unknown
from test_parameters import Settings
class Tested(Node):
    def __init__(self):
        super().__init__("tested")
        self.exit_reason, self.found = None, declare(self, Settings)
        refuse_unknown(self)
        print(self.found, flush=True)
        raise SystemExit(0)
if __name__ == "__main__":
    from rlt_node.process import run
    run("tested_node:Tested")
"""


@pytest.fixture
def run_node(tmp_path):
    """Run a node of this module's settings with a parameter file and arguments."""
    (tmp_path / "tested_node.py").write_text(PROGRAM)

    def run(text: str, *arguments: str) -> tuple[int, str]:
        (tmp_path / "some.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "tested_node.py", "--ros-args", "--params-file", "some.yaml",
             *arguments],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([HERE, *sys.path])},
        )
        return done.returncode, done.stdout

    return run


def test_what_is_given_to_all_nodes_kills_none(run_node):
    code, said = run_node(
        "/**: {ros__parameters: {tf_prefix: arm, nested: {publish_rate: 3.0}, ticks: 5}}",
        "-p", "robot_description:=<robot/>",
    )
    assert code == 0, said
    assert "ticks=5" in said
    assert (
        "parameter(s) nested.publish_rate, robot_description, tf_prefix, given to all nodes, are"
    ) in said


def test_what_another_node_has_is_no_typing_error_of_this_one(run_node):
    code, said = run_node("""
/**/other: {ros__parameters: {speeds: 1.0}}
/**: {ros__parameters: {speeds: 2.0}}
""")
    assert code == 0, said
    assert "speeds" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/**: {ros__parameters: {sped: 0.1}}", "sped (did you mean speed?); this node has"),
        ("/**/tested: {ros__parameters: {tf_prefix: arm}}", "unknown parameter(s) tf_prefix; this"),
        ("tested: {ros__parameters: {tf_prefix: arm}}", "unknown parameter(s) tf_prefix; this"),
    ],
)
def test_what_is_meant_for_this_node_and_unknown_is_refused(run_node, text, sentence):
    code, said = run_node(text)
    assert code == 1, said
    assert sentence in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (
            "/**: {ros__parameters: {limits: [0.5, 1]}}", (),
            "limits of /** is [0.5, 1], but ROS accepts only lists of one type: write all numbers "
            "with a point",
        ),
        ("/**: {ros__parameters: {limits: [0.5, ", (), "some.yaml cannot be read"),
        ("just: text", (), "some.yaml is not a ROS parameter file"),
        ("", ("--params-file", "none.yaml"), "none.yaml cannot be read"),
        ("", ("-p", "speed"), "fix what follows --ros-args"),
        ("", ("-r", "__ns:=/2nd"), "2nd"),
    ],
)
def test_arguments_that_ros_cannot_read_are_one_sentence(run_node, text, arguments, sentence):
    code, said = run_node(text, *arguments)
    assert code == 1, said
    assert sentence in said and "Traceback" not in said
