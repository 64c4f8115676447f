"""Full tasks, from home: the base policy approaches, the critical phase is learnt from."""

from __future__ import annotations

import json
import os
import subprocess

STRIDE, CHUNK = 2, 10


def test_a_training_run_of_whole_tasks_stores_critical_phases_alone(domain, tmp_path):
    output = tmp_path / "run"
    done = subprocess.run(
        ["ros2", "launch", "rlt_bringup", "train.launch.py", "full_task:=true",
         "base_eval_episodes:=0", "warmup_episodes:=1", "episodes:=2", "eval_episodes:=1",
         f"output:={output}"],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=290,
    )
    assert done.returncode == 0, done.stdout
    lines = (output / "episodes.jsonl").read_text().splitlines()
    episodes = [json.loads(line) for line in lines]
    assert [episode["kind"] for episode in episodes] == ["warmup", "train", "eval"]
    for episode in episodes:
        approach = episode["steps"] - episode["critical_steps"]
        assert episode["critical_steps"] > 0 and approach >= 3 * CHUNK and approach % CHUNK == 0
    report = json.loads((output / "report.json").read_text())
    assert report["full_task"] is True
    windows = sum(
        -(-episode["critical_steps"] // STRIDE)
        for episode in episodes if episode["kind"] != "eval"
    )
    assert report["transitions"]["committed"] == windows + len(episodes)  # and their ends
    assert report["transitions"]["lost"] == report["transitions"]["human"] == 0
    assert report["learner"]["updates"] > 0
