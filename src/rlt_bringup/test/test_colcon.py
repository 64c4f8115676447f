"""`colcon test` runs the tests of every package that has tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("src/*/test"))


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder of the test runners' output when they list only our markers."""
    folder = tmp_path_factory.mktemp("colcon")
    subprocess.run(
        [sys.executable, "-m", "colcon", "--log-base", folder / "log", "test",
         "--base-paths", "src", "--packages-select", *PACKAGES, "--executor", "sequential",
         "--test-result-base", folder / "results",
         "--ctest-args", "--show-only", "--pytest-args", "--markers"],
        cwd=ROOT, capture_output=True, timeout=280, check=True,
    )
    return folder / "log" / "latest_test"


@pytest.mark.parametrize("package", PACKAGES)
def test_pytest_runs_in_the_package(logs, package):
    said = (logs / package / "stdout_stderr.log").read_text()
    of_ament_cmake = f'"pytest" "{ROOT / "src" / package / "test"}"'
    assert of_ament_cmake in said or "@pytest.mark.time_critical" in said, said
