"""What policy and controller do with messages of another contract, model or run."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from robot_files import SIM

from rlt_core.contract import Contract, ContractMismatch
from rlt_core.log import checkpoint
from rlt_core.rl.networks import Actor
from rlt_interfaces.msg import (
    ActionChunk,
    EpisodeState,
    HumanCommand,
    Observation,
    PolicyInfo,
    PolicyWeights,
)
from rlt_node import qos
from rlt_node.process import NodeError
from rlt_policy.controller import chunk_controller_node
from rlt_policy.controller.chunk_controller_node import ChunkControllerNode
from rlt_policy.policy.policy_node import PolicyNode

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
PATIENCE_S = 90.0
IDLE = EpisodeState(run="run")


class Bench:
    """One node, and another that talks to it."""

    def __init__(self, kind, mode: str) -> None:
        robot = ["-p", f"robot:={SIM}"]
        rclpy.init(
            args=[
                "--ros-args", *(robot if kind is ChunkControllerNode else ()),
                "-p", f"model:={MODEL}", "-p", f"mode:={mode}",
                "-p", "chunk_controller:realtime_priority:=0",  # it would be the tests' priority
            ],
        )
        self.node = kind()
        self.contract = self.node._graph.contract()
        self.other = rclpy.create_node("other", use_global_arguments=False)
        self.executor = SingleThreadedExecutor()
        for each in (self.node, self.other):
            self.executor.add_node(each)

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.executor.spin_once(timeout_sec=0.1)

    def send(self, message, topic: str, profile) -> None:
        publisher = self.other.create_publisher(type(message), topic, profile)
        self.wait_for(publisher.get_subscription_count)
        publisher.publish(message)

    def close(self) -> None:
        self.executor.shutdown()
        if hasattr(self.node, "close"):
            self.node.close()
        for each in (self.node, self.other):
            each.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def bench(request):
    made = Bench(*request.param)
    yield made
    made.close()


def weights(contract: Contract, version: int) -> PolicyWeights:
    """Weights of an untrained actor."""
    actor = Actor(
        contract.state_size, contract.chunk, contract.action.size, 256,
        np.ones(contract.action.size, np.float32),
    )
    data, sha256 = checkpoint.encode(actor.state_dict())
    return PolicyWeights(
        run=IDLE.run, version=version, contract_hash=contract.hash(), sha256=sha256, data=data
    )


@pytest.mark.parametrize("bench", [(PolicyNode, "real_time")], indirect=True)
def test_in_real_time_bad_weights_are_dropped_and_good_ones_still_act(bench):
    bench.node.autostart()
    told: list[PolicyInfo] = []
    bench.other.create_subscription(PolicyInfo, "policy_info", told.append, qos.LATEST)
    bench.send(IDLE, "episode_state", qos.BARRIER)
    bad = weights(bench.contract, 3)
    bad.contract_hash = "another"
    bench.send(bad, "policy_weights", qos.LATEST)
    bench.send(weights(bench.contract, 4), "policy_weights", qos.LATEST)
    bench.wait_for(lambda: told and told[-1].policy_version == 4)
    refused = bench.node._fault_log.counts["weights"]
    bench.send(weights(bench.contract, 2), "policy_weights", qos.LATEST)  # a learner went back
    bench.wait_for(lambda: bench.node._fault_log.counts["weights"] > refused)
    bench.send(weights(bench.contract, 5), "policy_weights", qos.LATEST)
    bench.wait_for(lambda: told[-1].policy_version == 5)
    assert bench.node.exit_reason is None
    assert not {2, 3} & {info.policy_version for info in told}


@pytest.mark.parametrize("bench", [(PolicyNode, "lockstep")], indirect=True)
def test_in_lockstep_bad_weights_end_the_policy(bench):
    bench.node.autostart()
    bench.send(IDLE, "episode_state", qos.BARRIER)
    bad = weights(bench.contract, 3)
    bad.sha256 = "0" * 64
    bench.send(bad, "policy_weights", qos.LATEST)
    bench.wait_for(lambda: bench.node.exit_reason is not None)
    assert isinstance(bench.node.exit_reason, NodeError)
    assert "policy_weights version 3" in str(bench.node.exit_reason)


@pytest.mark.parametrize("bench", [(PolicyNode, "lockstep")], indirect=True)
def test_weights_of_another_run_end_the_policy_whichever_comes_first(bench):
    bench.node.autostart()
    old = weights(bench.contract, 3)
    old.run = "yesterday"
    bench.send(old, "policy_weights", qos.LATEST)
    bench.send(IDLE, "episode_state", qos.BARRIER)
    bench.wait_for(lambda: bench.node.exit_reason is not None)
    assert "run 'yesterday', this is run 'run'" in str(bench.node.exit_reason)


@pytest.mark.parametrize("bench", [(PolicyNode, "lockstep")], indirect=True)
def test_an_observation_with_other_proprioception_ends_the_policy(bench):
    bench.node.autostart()
    names = bench.contract.proprio.names
    bench.send(Observation(proprio_names=names[::-1]), "observation", qos.BARRIER)
    bench.wait_for(lambda: bench.node.exit_reason is not None)
    assert ", ".join(names[::-1]) in str(bench.node.exit_reason)
    assert ", ".join(names) in str(bench.node.exit_reason)


@pytest.mark.parametrize("bench", [(ChunkControllerNode, "lockstep")], indirect=True)
def test_in_lockstep_a_chunk_of_another_contract_ends_the_controller(bench):
    bench.send(ActionChunk(episode=7, contract_hash="0" * 64), "action_chunk", qos.BARRIER)
    bench.wait_for(lambda: bench.node.exit_reason is not None)
    assert isinstance(bench.node.exit_reason, ContractMismatch)
    assert "0" * 64 in str(bench.node.exit_reason)
    assert bench.contract.hash() in str(bench.node.exit_reason)


@pytest.mark.parametrize("bench", [(ChunkControllerNode, "real_time")], indirect=True)
def test_a_closed_controller_ticks_no_more(bench):
    bench.send(ActionChunk(episode=7, contract_hash="0" * 64), "action_chunk", qos.BARRIER)
    bench.executor.spin_once(timeout_sec=1.0)
    assert bench.node.exit_reason is None
    assert bench.node._ticks._thread.is_alive()
    bench.node.close()
    assert not bench.node._ticks._thread.is_alive()


@pytest.mark.parametrize("bench", [(ChunkControllerNode, "real_time")], indirect=True)
def test_only_the_own_runs_leader_is_heard(bench, monkeypatch):
    heard: list[float] = []
    monkeypatch.setattr(bench.node._control, "note_leader", heard.append)
    bench.send(IDLE, "episode_state", qos.BARRIER)
    bench.wait_for(lambda: bench.node._ticks._episode is not None)
    words: list[EpisodeState] = []
    bench.other.create_subscription(EpisodeState, "episode_heartbeat", words.append, qos.COMMAND)
    publisher = bench.other.create_publisher(EpisodeState, "episode_heartbeat", qos.COMMAND)
    bench.wait_for(lambda: publisher.get_subscription_count() == 2)
    for run in ("another", "another", IDLE.run):
        count = len(words)
        publisher.publish(EpisodeState(run=run))
        bench.wait_for(lambda count=count: len(words) > count)
        for _ in range(5):  # the controller may take it after us
            bench.executor.spin_once(timeout_sec=0.05)
    assert len(heard) == 1


@pytest.mark.parametrize("bench", [(ChunkControllerNode, "real_time")], indirect=True)
def test_the_clock_does_not_wait_for_a_message_to_be_converted(bench, monkeypatch):
    locked = {}
    for name in ("chunk_from_msg", "human_from_msg"):
        convert = getattr(chunk_controller_node, name)

        def noted(*arguments, name=name, convert=convert):
            locked[name] = bench.node._ticks.lock.locked()
            return convert(*arguments)

        monkeypatch.setattr(chunk_controller_node, name, noted)
    chunk = ActionChunk(contract_hash=bench.contract.hash())
    bench.send(chunk, "action_chunk", qos.BARRIER)
    bench.send(HumanCommand(), "human_command", qos.COMMAND)
    bench.wait_for(lambda: len(locked) == 2)
    assert not any(locked.values())
