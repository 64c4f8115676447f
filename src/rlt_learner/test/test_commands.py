"""Commands of packages that are not installed name the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rlt_learner.commands import MODULES

WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(name, name={package!r})
sys.meta_path.insert(0, Hidden())
from rlt_learner import commands
sys.exit(commands.{command}())
"""


@pytest.mark.parametrize("command", MODULES)
def test_a_command_whose_package_is_missing_names_it(command):
    package = MODULES[command].partition(".")[0]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package, command=command)],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 1
    assert f"package {package}, which contains this command, is not installed" in done.stderr
    assert "Traceback" not in done.stderr
