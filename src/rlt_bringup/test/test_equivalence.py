"""The ROS graph in lockstep and the in-process runner give the same run, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
import yaml
from rclpy.context import Context
from robot_files import sim_robot

from rlt_core.control.tool_pose import as_sent
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.log import checkpoint
from rlt_core.records import Commit, Transition
from rlt_core.runner import build_runner
from rlt_core.settings import ScheduleSettings, TrainingSettings, build
from rlt_interfaces.srv import GetTransitions
from rlt_node.conversions import transition_from_msg
from rlt_sim.world import World, make_world

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
TASK = yaml.safe_load((ROOT / "config" / "tasks" / "ethernet.yaml").read_text())
SEED = 7
SCHEDULE = {
    "base_eval_episodes": 1, "episodes": 3, "eval_episodes": 1, "seed": SEED,
}
RUNS = {
    "critical": ({"time_limit_ticks": 70}, {}),
    "full_task": ({"time_limit_ticks": 40, "full_task": True}, {"start": "home"}),
}
"""What a run changes in its schedule and in its world."""
TRAINING = {"warmup_episodes": 2, "warmup_bc_updates": 20, "warmup_critic_updates": 20}


class PosedWorld:
    """The world as it looks through pose messages: a yaw loses its last bit as a quaternion."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.reset = world.reset
        self.render = world.render
        self.task_state = world.task_state

    def state(self) -> Any:
        state = self._world.state()
        return dataclasses.replace(state, tcp=as_sent(state.tcp))

    def step(self, setpoint: np.ndarray) -> None:
        self._world.step(as_sent(setpoint))


def commits_of_the_graph(domain: int, run: str) -> Iterator[Transition]:
    """What the recorder committed, page by page."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("reader", namespace="/rlt", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = node.create_client(GetTransitions, "get_transitions")
    assert client.wait_for_service(60.0)
    first, committed = 1, 1
    while first <= committed:
        request = GetTransitions.Request(
            run=run, first_seq=first, count=GetTransitions.Request.MAX_PAGE
        )
        future = client.call_async(request)
        executor.spin_until_future_complete(future, timeout_sec=60.0)
        page = future.result()
        assert page.success, page.message
        yield from (transition_from_msg(message) for message in page.transitions)
        first, committed = first + len(page.transitions), page.committed
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def differences(left: Transition, right: Transition) -> list[str]:
    """Names of the fields in which two transitions differ, bit for bit."""
    return [
        item.name
        for item in dataclasses.fields(Transition)
        if not np.array_equal(
            np.asarray(getattr(left, item.name)), np.asarray(getattr(right, item.name))
        )
    ]


def assert_only_critical(transitions: list[Transition], results: list[EpisodeResult]) -> None:
    """The windows of every stored episode are those of its critical phase."""
    for result in results:
        steps = [
            transition.step for transition in transitions
            if transition.episode == result.episode and transition.commit is Commit.INSERT
        ]
        first = result.steps - result.critical_steps
        expected = range(first, result.steps, 2) if result.kind.stored else range(0)
        assert steps == list(expected)


@pytest.mark.parametrize("run", RUNS)
def test_graph_and_runner_produce_the_same_transitions_and_weights(graph, domain, tmp_path, run):
    asked, start = RUNS[run]
    schedule, world = SCHEDULE | asked, TASK["world"] | start
    output = tmp_path / "run"
    agreed = {"model": str(MODEL)}
    graph.start("learner", **agreed, **TRAINING, seed=SEED, output=str(output))
    graph.start("policy", **agreed)
    graph.start("observer", **agreed)
    graph.start("chunk_controller", **agreed)
    graph.start("simulator", **world)
    graph.start("recorder", **agreed)
    graph.start(
        "episodes", **agreed, **schedule, output=str(output),
        warmup_episodes=TRAINING["warmup_episodes"],
    )
    assert graph.ended("episodes") == 0, graph.log("episodes")
    from_graph = list(commits_of_the_graph(domain, "run"))
    assert graph.stop("learner") == 0

    runner = build_runner(
        PosedWorld(make_world("ethernet", **world)),
        MODEL,
        sim_robot().limits,
        build(ScheduleSettings, schedule),
        training=build(TrainingSettings, TRAINING),
        run="run",
    )
    results = list(runner.run())
    from_runner = runner.log.page(1, len(runner.log))

    assert len(results) == 5
    if schedule.get("full_task"):
        assert all(0 < result.critical_steps < result.steps for result in results)
        assert_only_critical(from_graph, results)
    assert len(from_graph) == len(from_runner)
    for left, right in zip(from_graph, from_runner, strict=True):
        assert not differences(left, right), (left.key, differences(left, right))
    saved, _ = checkpoint.load(output / "checkpoint")
    for name, tensor in runner.trainer.agent.actor_state().items():
        assert torch.equal(saved[f"actor.{name}"], tensor), name
