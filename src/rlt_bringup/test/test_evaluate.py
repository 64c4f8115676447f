"""evaluate.launch.py: an evaluation alone ends with exit code 0 and a report."""

import json
import os
import subprocess


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
