"""Settings become described, ranged parameters; what does not fit is refused by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from rlt_core.settings import setting
from rlt_node.parameters import declare, refuse_unknown


@dataclass(frozen=True)
class Settings:
    speed: float = setting(0.5, "speed, m/s", low=0.0, high=1.0)
    ticks: int = setting(3, "ticks", low=1)
    mode: str = setting("slow", "pace", choices=("slow", "fast"))
    on: bool = setting(True, "whether it is on")
    limits: list[float] = setting([], "limits, m", low=0.0)


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
    with pytest.raises(ValueError, match=r"unknown parameter\(s\) sped; this node has .*speed"):
        refuse_unknown(node)
