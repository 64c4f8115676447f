"""In real time nothing waits: the controller counts the ticks, and silence causes a hold."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from rlt_core.records import Source
from rlt_interfaces.msg import ControlStep

pytestmark = pytest.mark.time_critical

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": 4}
EPISODES = {"job": "evaluate_base", "base_eval_episodes": 3, "time_limit_ticks": 150}


def start(graph, output: Path) -> None:
    graph.start("policy", **AGREED)
    graph.start("simulator", mode="real_time")
    graph.start("observer", **AGREED)
    graph.start("chunk_controller", **AGREED)
    graph.start("episodes", **AGREED, **EPISODES, output=str(output))


def driven(step: ControlStep) -> bool:
    return step.source == Source.BASE


def test_a_run_in_real_time(graph, watcher, tmp_path):
    start(graph, tmp_path / "run")
    watcher.wait_for(lambda: graph.processes["episodes"].poll() is not None, "the run to end")
    assert graph.ended("episodes") == 0, graph.log("episodes")
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    assert [result["episode"] for result in results] == [1, 2, 3]
    assert all(result["steps"] - result["held_ticks"] <= 150 for result in results)
    ticks = [step.tick for step in watcher.steps]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))  # no tick twice, none missing
    assert sum(map(driven, watcher.steps)) > 20
    for name in ("policy", "simulator", "observer", "chunk_controller"):
        assert graph.stop(name) == 0, graph.log(name)


def test_an_inactive_policy_and_a_dead_one_are_holds(graph, watcher, tmp_path):
    start(graph, tmp_path / "run")
    watcher.wait_for(lambda: watcher.steps and driven(watcher.steps[-1]), "the policy to act")

    client = watcher.node.create_client(ChangeState, "policy/change_state")
    watcher.wait_for(client.service_is_ready, "the lifecycle service")
    for transition, acting in (
        (Transition.TRANSITION_DEACTIVATE, False), (Transition.TRANSITION_ACTIVATE, True),
    ):
        answer = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        watcher.wait_for(answer.done, "the transition")
        assert answer.result().success
        watcher.wait_for(
            lambda acting=acting: driven(watcher.steps[-1]) == acting, f"acting = {acting}"
        )

    graph.processes["policy"].send_signal(signal.SIGKILL)
    watcher.wait_for(lambda: watcher.steps[-1].source == Source.HOLD, "the hold")
    count = len(watcher.steps)
    watcher.wait_for(lambda: len(watcher.steps) > count + 20, "ticks that go on")
    assert all(step.source == Source.HOLD for step in watcher.steps[count:])
