"""How the environment is made: the mended wheels, no shadowing, what env.sh says when it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ros2_wheels.mend import mend

ROOT = Path(__file__).parents[3]


def test_mend_rewrites_the_paths_of_the_builder_once(tmp_path):
    folder = tmp_path / "share" / "some_msgs" / "cmake"
    folder.mkdir(parents=True)
    exported = folder / "export.cmake"
    exported.write_text(
        'set(A "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include")\n'
    )
    (folder / "other.cmake").write_text("set(B 1)\n")
    assert mend(tmp_path, "/here/include", "/here/site-packages") == 1
    assert exported.read_text() == (
        'set(A "/here/include;/here/site-packages/numpy/_core/include")\n'
    )
    assert mend(tmp_path, "/here/include", "/here/site-packages") == 0


def test_nothing_in_this_environment_names_the_builder():
    exports = list(Path(sys.prefix).glob("share/**/*.cmake"))
    assert exports, "the wheels export no CMake files: is this their environment?"
    assert not [path for path in exports if "/opt/python/" in path.read_text()]


def test_the_package_refuses_to_shadow_an_installation(tmp_path):
    info = tmp_path / "launch-3.4.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: launch\nVersion: 3.4.2\n")
    result = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT / "tools" / "ros2_wheels",
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode != 0
    assert "launch 3.4.2 is already installed" in result.stderr


@pytest.fixture
def clone(tmp_path) -> Path:
    """What env.sh needs of a fresh clone, and a folder `bin` that comes first in PATH."""
    folder = tmp_path / "clone"
    (folder / "tools").mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(ROOT / "env.sh", folder)
    shutil.copy(ROOT / "colcon.meta", folder)
    shutil.copy(ROOT / "tools" / "prepare.sh", folder / "tools")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    (folder / "src").mkdir()
    return folder


def fake(clone: Path, name: str, script: str) -> None:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def source(clone: Path, **variables: str) -> tuple[int, str, str]:
    """Source env.sh in a clean shell that goes on afterwards: exit code, output, errors."""
    result = subprocess.run(
        ["bash", "-c", f'source "{clone}/env.sh"; echo "returned $?; mode $-; pwd $PWD"'],
        env={"HOME": str(clone), "PATH": f"{clone}/bin:{os.defpath}", **variables},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, "env.sh ended the shell"
    assert "pwd /\n" in result.stdout and "e" not in result.stdout.split("mode ")[1].split(";")[0]
    return int(result.stdout.split("returned ")[1].split(";")[0]), result.stdout, result.stderr


needs_wheels = pytest.mark.skipif(
    Path("/opt/ros/jazzy").exists(), reason="where ROS 2 is installed env.sh takes another way"
)


@needs_wheels
def test_a_wrong_python_is_said_in_one_sentence(clone):
    for name in ("python3", "python3.10", "python3.11", "python3.12"):
        fake(clone, name, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    code, _, errors = source(clone)
    assert code == 1
    assert errors.count("\n") == 1
    assert "needs Python 3.10, 3.11 or 3.12 and found Python 3.9.2; install one of them" in errors


@needs_wheels
def test_a_full_disk_is_said_in_one_sentence(clone):
    fake(clone, "df", "echo head; echo '/dev/x 100 90 10 90% /'")
    code, _, errors = source(clone)
    assert code == 1
    assert errors.count("\n") == 1
    assert "needs 4000 MB of disk" in errors and "10 MB are free" in errors


@needs_wheels
def test_no_network_is_said_in_one_sentence(clone):
    fake(clone, "python3", f'exec "{sys.base_prefix}/bin/python3" "$@"')
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    code, _, errors = source(clone, **nowhere)
    assert code == 1
    assert errors.count("\n") == 1
    assert "pip could not download the packages; check the network" in errors


def test_it_must_be_sourced(clone):
    result = subprocess.run(["bash", clone / "env.sh"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "source it" in result.stderr
