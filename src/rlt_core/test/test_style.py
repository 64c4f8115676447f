"""Style and types are tests, so that one command checks everything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(900)  # without its cache mypy reads all of torch
@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--output-format=concise", "."), ("mypy",)],
    ids=lambda command: command[0],
)
def test_tool_finds_nothing(command):
    """Both are configured in pyproject.toml."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
