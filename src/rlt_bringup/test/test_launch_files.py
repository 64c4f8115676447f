"""Every launch file loads and describes its arguments."""

import re
import subprocess
from pathlib import Path

import pytest

LAUNCH_FILES = sorted((Path(__file__).resolve().parents[3] / "launch").glob("*.launch.py"))


def test_the_promised_launch_files_exist():
    assert {"train.launch.py", "evaluate.launch.py", "sim.launch.py"} <= {
        path.name for path in LAUNCH_FILES
    }


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_show_args(path):
    done = subprocess.run(
        ["ros2", "launch", "rlt_bringup", path.name, "--show-args"],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^\s+'(\w+)':\n\s+(.+)", done.stdout, re.MULTILINE)
    assert {"namespace", "log_level"} <= {name for name, _ in shown}
    assert [name for name, text in shown if len(text.split()) < 2] == []
