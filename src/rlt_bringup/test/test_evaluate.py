"""evaluate.launch.py: an evaluation alone ends with exit code 0 and a report."""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_base_policy_is_evaluated_and_reported(domain, tmp_path):
    output = tmp_path / "run"
    done = subprocess.run(
        ["ros2", "launch", "rlt_bringup", "evaluate.launch.py", "policy:=base", "episodes:=2",
         f"output:={output}"],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((output / "report.json").read_text())
    assert report["base"]["episodes"] == 2
    assert report["rlt"] is None and report["difference"] is None
    assert (output / "report.html").stat().st_size > 10_000


def test_task_model_and_parameters_of_ones_own_lie_anywhere(domain, tmp_path):
    mine = tmp_path / "my cell"
    shutil.copytree(ROOT / "models" / "ethernet", mine / "vla")
    task = (ROOT / "config" / "tasks" / "ethernet.yaml").read_text()
    assert "time_limit_ticks: 480" in task
    (mine / "short.yaml").write_text(task.replace("time_limit_ticks: 480", "time_limit_ticks: 30"))
    (mine / "mine.yaml").write_text(
        "/**/episodes: {ros__parameters: {time_limit_ticks: 70, label_needs_id_ticks: 3}}\n"
    )
    done = subprocess.run(
        ["ros2", "launch", "rlt_bringup", "evaluate.launch.py", "policy:=base", "episodes:=2",
         f"task:={mine}/short.yaml", f"model:={mine}/vla", f"params_file:={mine}/mine.yaml",
         f"output:={tmp_path}/run"],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "parameter time_limit_ticks = 70 is ignored: the launch" in done.stdout
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["graph"]["model"] == f"{mine}/vla"
    assert settings["schedule"]["label_needs_id_ticks"] == 3
    episodes = [
        json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    ]
    assert [episode["steps"] for episode in episodes] == [30, 30]
