"""The complete graph killed in the middle of a run and resumed: nothing else differs."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from robot_files import sim_robot

from rlt_core.contract import Contract
from rlt_core.control.motion_limits import normalised_bound
from rlt_core.log import checkpoint
from rlt_core.log.sqlite_log import LOG_FILE, StoredLog
from rlt_core.records import Commit, EpisodeKind, Outcome, Transition
from rlt_core.rl.trainer import Trainer
from rlt_core.settings import AgentSettings, TrainingSettings, build

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"
TASK = yaml.safe_load((ROOT / "config" / "tasks" / "ethernet.yaml").read_text())
SCHEDULE = {"base_eval_episodes": 1, "episodes": 5, "eval_episodes": 1, "time_limit_ticks": 70}
WARMUP = 2
TRAINING = {"warmup_episodes": WARMUP, "warmup_bc_updates": 20, "warmup_critic_updates": 20}
AGENT = {"hidden_dim": 32, "batch_size": 16}
NODES = ("learner", "policy", "observer", "chunk_controller", "simulator", "recorder", "episodes")
PATIENCE_S = 120.0


def start(graph: Any, output: Path, resume: bool) -> None:
    own = {
        "learner": {**TRAINING, **AGENT, "output": str(output)},
        "policy": {"hidden_dim": AGENT["hidden_dim"]},
        "recorder": {"output": str(output)},
        "simulator": TASK["world"],
        "episodes": {
            **SCHEDULE, "output": str(output), "warmup_episodes": WARMUP, "resume": resume
        },
    }
    for name in NODES:
        agreed = {} if name == "simulator" else {"model": str(MODEL)}
        graph.start(name, **agreed, **own.get(name, {}))


def lines(output: Path) -> list[dict[str, Any]]:
    path = output / "episodes.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kill_everything(graph: Any) -> None:
    for process in graph.processes.values():
        process.send_signal(signal.SIGKILL)
    for process in graph.processes.values():
        process.wait()


def read_log(output: Path) -> list[Transition]:
    log = StoredLog(output / LOG_FILE)
    return log.page(1, len(log))


def begun(output: Path) -> int:
    path = output / "run.json"
    return json.loads(path.read_text()).get("begun", 0) if path.exists() else 0


@pytest.mark.parametrize(
    ("episode", "later_s"),
    [(5, 1.5), (7, 0.0)],  # somewhere in training; in the last one, after which none follows
)
def test_a_killed_graph_goes_on_where_it_was(graph, tmp_path, episode, later_s):
    output = tmp_path / "run"
    start(graph, output, resume=False)
    deadline = time.monotonic() + PATIENCE_S
    while begun(output) < episode:
        assert time.monotonic() < deadline, graph.log("episodes")
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, later_s))
    kill_everything(graph)
    before, done = read_log(output), len(lines(output))

    output = output.rename(tmp_path / "renamed")  # the same run, by what the folder records
    start(graph, output, resume=True)
    assert graph.ended("episodes", PATIENCE_S) == 0, graph.log("episodes")
    assert graph.stop("learner") == 0 and graph.stop("recorder") == 0

    episodes, log = lines(output), read_log(output)
    assert [line["episode"] for line in episodes] == [1, 2, 3, 4, 5, 6, 7]
    truncated = [line["episode"] for line in episodes if line["outcome"] == "truncated"]
    assert truncated in ([], [done + 1]), "more than the interrupted episode was truncated"
    assert [t.seq for t in log] == [*range(1, len(log) + 1)]
    assert all(a.key == b.key and a.commit == b.commit for a, b in zip(before, log, strict=False))
    inserts = Counter(t.key for t in log if t.commit is Commit.INSERT)
    assert max(inserts.values()) == 1
    ends = {t.episode: t.outcome for t in log if t.commit is Commit.EPISODE_END}
    assert sorted(ends) == [1, 2, 3, 4, 5, 6, 7]
    for line in episodes:
        if line["episode"] not in (done, done + 1):  # whose ends may be lost with the recorder
            assert ends[line["episode"]] is Outcome[line["outcome"].upper()]
    facts = json.loads((output / "run.json").read_text())["transitions"]
    assert facts["committed"] == facts["received"] == len(log) and facts["lost"] == 0

    # The killed learner has learnt exactly what an undisturbed one would have learnt.
    contract = Contract.load(MODEL / "contract.json")
    trainer = Trainer(
        contract, normalised_bound(sim_robot().limits, contract), build(AgentSettings, AGENT),
        build(TrainingSettings, TRAINING), seed=0,
    )
    for transition in log:
        trainer.ingest(transition)
    while trainer.work() or trainer.weights_due:
        if trainer.weights_due:
            trainer.publish()
    expected, _ = trainer.state_dict()
    found, meta = checkpoint.load(output / "checkpoint")
    trained = sum(t.kind is EpisodeKind.TRAIN and t.commit is Commit.EPISODE_END for t in log)
    assert meta["policy_version"] == 1 + trained
    assert all(torch.equal(found[name], expected[name]) for name in expected)
