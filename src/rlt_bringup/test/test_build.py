"""The package installs what lies at the top of the repository, or its build fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def test_a_package_without_its_repository_fails_the_build_with_a_sentence(tmp_path):
    alone = tmp_path / "src" / "rlt_bringup"
    alone.mkdir(parents=True)
    shutil.copy(PACKAGE / "CMakeLists.txt", alone)
    configured = subprocess.run(
        ["cmake", "-S", str(alone), "-B", str(tmp_path / "build")], capture_output=True, text=True
    )
    said = " ".join(configured.stderr.split())
    assert configured.returncode != 0
    assert f"{tmp_path}/launch is not there: clone the complete repository" in said


def test_a_package_that_is_linked_into_a_workspace_finds_its_repository(tmp_path):
    linked = tmp_path / "src" / "rlt_bringup"
    linked.parent.mkdir()
    linked.symlink_to(PACKAGE)
    configured = subprocess.run(
        ["cmake", "-S", str(linked), "-B", str(tmp_path / "build")], capture_output=True, text=True
    )
    assert configured.returncode == 0, configured.stderr
