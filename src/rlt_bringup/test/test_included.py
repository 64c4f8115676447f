"""Our launch files inside another: each ends only itself, and follows what is set around it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OUTER = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch_ros.actions import PushRosNamespace, SetParameter, SetParametersFromFile

def robot(name, episodes):
    return GroupAction([
        PushRosNamespace(name),
        IncludeLaunchDescription(
            "{launch}/evaluate.launch.py",
            launch_arguments=[("episodes", episodes), ("output", "{folder}/" + name)],
        ),
    ])

def generate_launch_description():
    return LaunchDescription([
        SetParameter("tf_prefix", "arm"),          # for other nodes
        SetParameter("time_limit_ticks", 70),      # the launch file sets it
        SetParameter("label_needs_id_ticks", 3),      # config/rlt.yaml has another
        SetParametersFromFile("{folder}/around.yaml"),
        robot("left", "1"),
        robot("right", "2"),
    ])
"""


def test_two_robots_in_one_launch(tmp_path):
    (tmp_path / "around.yaml").write_text(
        "/**: {ros__parameters: {publish_rate: 10, approach_limit_ticks: 300}}\n"
        "/left/rlt/episodes: {ros__parameters: {silence_s: 31}}\n"
    )
    outer = tmp_path / "outer.launch.py"
    outer.write_text(OUTER.format(launch=ROOT / "launch", folder=tmp_path))
    done = subprocess.run(
        ["ros2", "launch", str(outer)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )
    said = done.stdout
    assert done.returncode == 0, said
    assert said.count("the run is finished") == 2
    for name, silence_s in (("left", 31.0), ("right", 12.0)):
        report = json.loads((tmp_path / name / "report.json").read_text())
        assert report["finished"] and report["base"]["episodes"] == (1 if name == "left" else 2)
        settings = json.loads((tmp_path / name / "run.json").read_text())["settings"]
        assert settings["schedule"]["label_needs_id_ticks"] == 3
        assert settings["schedule"]["time_limit_ticks"] == 480
        assert settings["graph"]["silence_s"] == silence_s
        assert f"[{name}.rlt.observer]: parameter(s) publish_rate, tf_prefix, given to all" in said
    assert "parameter time_limit_ticks = 70 is ignored" in said
    assert "parameter approach_limit_ticks = 300 is ignored" in said
    assert "label_needs_id_ticks = 3 is ignored" not in said
