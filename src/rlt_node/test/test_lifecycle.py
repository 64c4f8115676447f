"""A lifecycle node that cannot start reports why."""

from __future__ import annotations

import pytest
import rclpy

from rlt_node.lifecycle import SelfStartingNode
from rlt_node.process import NodeError


class Failing(SelfStartingNode):
    """Cannot be configured."""

    def __init__(self, error: Exception) -> None:
        super().__init__("failing")
        self._error = error

    def configure(self) -> None:
        raise self._error


@pytest.fixture(autouse=True)
def ros():
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.mark.parametrize(
    ("error", "sentence", "traceback"),
    [
        (ValueError("no model file: run pretrain"), "no model file: run pretrain", False),
        (ValueError(), "ValueError()", False),
        (KeyError("contract_hash"), "unexpected KeyError('contract_hash')", True),
    ],
)
def test_why_configuring_failed(capfd, error, sentence, traceback):
    node = Failing(error)
    with pytest.raises(NodeError) as refused:
        node.autostart()
    node.destroy_node()
    assert sentence in str(refused.value)
    assert ("Traceback" in capfd.readouterr().err) == traceback
