"""How the environment is made: fixed wheels, no shadowing, and the errors of env.sh."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from ros2_wheels.cmake_paths import fix_paths

ROOT = Path(__file__).parents[3]


def test_fixing_rewrites_the_paths_of_the_builder_once(tmp_path):
    folder = tmp_path / "share" / "some_msgs" / "cmake"
    folder.mkdir(parents=True)
    exported = folder / "export.cmake"
    exported.write_text(
        'set(A "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include")\n'
    )
    (folder / "other.cmake").write_text("set(B 1)\n")
    assert fix_paths(tmp_path, "/here/include", "/here/site-packages") == 1
    assert exported.read_text() == (
        'set(A "/here/include;/here/site-packages/numpy/_core/include")\n'
    )
    assert fix_paths(tmp_path, "/here/include", "/here/site-packages") == 0


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


def test_the_folder_launch_does_not_hide_the_package_launch():
    result = subprocess.run(
        [sys.executable, "-c", "from launch import LaunchContext"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def locked(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("lock", ["jazzy.txt", "wheels.txt"])
def test_what_torch_needs_is_locked_because_it_is_installed_alone(lock):
    needed = [Requirement(line) for line in requires("torch")]
    names = {item.name for item in needed if not item.marker}  # with one: what the CUDA build needs
    assert {"sympy", "filelock"} <= names  # the others change from release to release
    assert names - {item.name for item in locked(lock)} == set()


def test_over_an_installation_pytest_can_start_beside_launch_testing():
    (pytest_,) = (item for item in locked("jazzy.txt") if item.name == "pytest")
    assert "9.0.0" not in pytest_.specifier and pytest_.specifier.contains("8.4.2")


def test_our_tests_start_beside_launch_testing_under_any_pytest(tmp_path):
    info = tmp_path / "launch_testing-3.4.11.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: launch-testing\nVersion: 3.4.11\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[pytest11]\nlaunch_testing = launch_testing_hooks\n", encoding="utf-8"
    )
    (tmp_path / "launch_testing_hooks.py").write_text(
        "def pytest_pycollect_makemodule(path, parent):\n    pass\n", encoding="utf-8"
    )
    only_look = ["--collect-only", "-n", "0", "src/rlt_core/test/test_log.py"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *only_look],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("minor", range(10, 14))
def test_every_pin_of_the_wheels_is_the_only_one_for_a_python(minor):
    environment = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
    pins = [
        item.name
        for item in locked("wheels.txt")
        if not item.marker or item.marker.evaluate(environment)
    ]
    assert len(pins) == len(set(pins))
    assert {"contourpy", "networkx", "mujoco"} <= set(pins)


def make_clone(folder: Path) -> Path:
    """What env.sh needs of a fresh clone, and a folder `bin` that comes first in PATH."""
    (folder / "tools").mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(ROOT / "env.sh", folder)
    shutil.copy(ROOT / "colcon.meta", folder)
    shutil.copy(ROOT / "tools" / "prepare.sh", folder / "tools")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    world = Path("src") / "rlt_sim" / "rlt_sim" / "world"
    (folder / world).mkdir(parents=True)
    shutil.copy(ROOT / world / "gl.py", folder / world)
    return folder


@pytest.fixture
def clone(tmp_path) -> Path:
    return make_clone(tmp_path / "clone")


def fake(clone: Path, name: str, script: str) -> None:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def fake_python(clone: Path, without: str = "nothing at all") -> None:
    """This Python; until a file `installed` is there it fails where it is asked for `without`."""
    fake(
        clone,
        "python3",
        f'[ -e "{clone}/installed" ] || case "$2" in *{without}*) exit 1;; esac\n'
        'case "$2" in *sys.executable*) echo "$0"; exit;; esac\n'
        f'exec "{sys.base_prefix}/bin/python3" "$@"',
    )


def source(
    clone: Path, file: str = "", folder: str = "/", **variables: str
) -> tuple[int, str, str]:
    """Source env.sh in a clean shell that goes on afterwards: exit code, output, errors."""
    program = 'source "$1"; echo "returned $?; mode $-; pwd $PWD"'
    result = subprocess.run(
        ["bash", "-c", program, "bash", file or clone / "env.sh"],
        env={"HOME": str(clone), "PATH": f"{clone}/bin:{os.defpath}", **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, "env.sh ended the shell"
    assert f"pwd {folder}\n" in result.stdout
    assert "e" not in result.stdout.split("mode ")[1].split(";")[0]
    return int(result.stdout.split("returned ")[1].split(";")[0]), result.stdout, result.stderr


def refusal(clone: Path, **variables: str) -> str:
    """The one sentence with which env.sh stops before it has made anything."""
    code, _, errors = source(clone, **variables)
    assert code == 1
    assert errors.count("\n") == 1, errors
    assert not (clone / ".venv").exists()
    return errors


NOWHERE = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
needs_wheels = pytest.mark.skipif(
    Path("/opt/ros/jazzy").exists(), reason="where ROS 2 is installed env.sh takes another way"
)


@needs_wheels
def test_a_wrong_python_is_said_in_one_sentence(clone):
    for name in ("python3", *(f"python3.{minor}" for minor in range(10, 14))):
        fake(clone, name, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    assert "needs Python 3.10 to 3.13 and found Python 3.9.2; install one of them" in refusal(clone)


@needs_wheels
def test_a_full_disk_is_said_in_one_sentence(clone):
    fake(clone, "df", "echo head; echo '/dev/x 100 90 10 90% /'")
    errors = refusal(clone)
    assert "needs 4000 MB of disk" in errors and "10 MB are free" in errors


@needs_wheels
@pytest.mark.parametrize("name", ["my clone", "a:b", "a;b", "it's"])
def test_a_folder_in_which_nothing_can_be_built_is_refused(tmp_path, name):
    clone = make_clone(tmp_path / name)
    assert f"cannot build in '{clone}'" in refusal(clone)


@needs_wheels
def test_an_old_c_library_is_said_in_one_sentence(clone):
    fake(clone, "getconf", "echo glibc 2.27")
    assert "need glibc 2.28 or newer and this is glibc 2.27" in refusal(clone)


@needs_wheels
def test_a_choice_of_opengl_that_cannot_work_is_said_in_one_sentence(clone):
    fake_python(clone)
    errors = refusal(clone, MUJOCO_GL="elg")
    assert "MUJOCO_GL=elg cannot render here" in errors and "fix or unset it" in errors


@needs_wheels
def test_who_may_not_install_is_told_of_all_that_is_missing_in_one_line(clone):
    fake_python(clone, without="Python.h*|*ensurepip")
    fake(clone, "id", "echo 1000")
    fake(clone, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    fake(clone, "apt-get", f'touch "{clone}/asked"')
    version = f"python3.{sys.version_info[1]}"
    assert re.search(
        "source env.sh again: sudo apt-get update && sudo apt-get install -y "
        rf".*{version}-venv {version}-dev",
        refusal(clone),
    )
    assert not (clone / "asked").exists()


@needs_wheels
def test_who_may_gets_it_installed_after_an_update_of_the_list(clone):
    fake_python(clone, without="Python.h")
    fake(clone, "id", "echo 1000")
    fake(clone, "sudo", '[ "$1" = -n ] && shift && exec "$@"')
    fake(
        clone,
        "apt-get",
        f'case "$1" in update) touch "{clone}/updated";; '
        f'*) [ -e "{clone}/updated" ] && echo "$@" >"{clone}/installed";; esac',
    )
    code, said, errors = source(clone, **NOWHERE)
    assert code == 1 and "pip could not download the packages" in errors
    assert f"installing system packages: python3.{sys.version_info[1]}-dev\n" in said
    assert f"python3.{sys.version_info[1]}-dev" in (clone / "installed").read_text(encoding="utf-8")


@needs_wheels
def test_what_an_installation_did_not_bring_is_said(clone):
    fake_python(clone, without="Python.h")
    fake(clone, "id", "echo 0")
    fake(clone, "apt-get", "exit 0")
    assert f"still lacks what Debian calls python3.{sys.version_info[1]}-dev" in refusal(clone)


@pytest.mark.parametrize(
    ("distribution", "said"), [("humble", "found humble"), ("", "found an unnamed distribution")]
)
def test_another_ros_in_the_shell_is_no_jazzy(clone, distribution, said):
    fake(clone, "ros2", "exit 0")
    errors = refusal(clone, ROS_DISTRO=distribution)
    assert f"needs ROS 2 jazzy or none and {said} in this shell ({clone}/bin/ros2)" in errors


@needs_wheels
def test_a_sourced_ros_1_is_named_though_it_has_no_ros2_command(clone):
    assert "found noetic in this shell;" in refusal(clone, ROS_DISTRO="noetic")


@needs_wheels
def test_the_ros2_of_another_clone_is_no_installation(clone):
    fake(clone, "ros2", "exit 0")
    (clone / "rlt.stamp").touch()  # as in a .venv
    fake(clone, "getconf", "echo glibc 2.27")
    assert "ROS 2 wheels need glibc" in refusal(clone, ROS_DISTRO="jazzy")


def test_what_an_installed_ros_lacks_is_named_with_all_else(clone, tmp_path):
    for name in ("rclpy", "std_msgs"):
        (tmp_path / "ros" / "share" / name).mkdir(parents=True)
        (tmp_path / "ros" / "share" / name / "package.xml").touch()
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "rclpy.py").touch()
    (tmp_path / "python" / "cv2.py").write_text("raise ImportError", encoding="utf-8")
    (clone / "src" / "rlt_sim" / "package.xml").write_text(
        "<depend>rclpy</depend>\n  <exec_depend>std_msgs</exec_depend>\n<depend>rlt_sim</depend>\n"
        "<buildtool_depend>rosidl_default_generators</buildtool_depend>\n",
        encoding="utf-8",
    )
    fake(clone, "ros2", "exit 0")
    fake(clone, "id", "echo 1000")
    fake(clone, "sudo", "exit 1")
    errors = refusal(
        clone,
        ROS_DISTRO="jazzy",
        AMENT_PREFIX_PATH=f"/nowhere:{tmp_path}/ros",
        PYTHONPATH=str(tmp_path / "python"),
    )
    assert errors.endswith("python3-opencv ros-jazzy-rosidl-default-generators\n")
    assert "rclpy" not in errors and "std" not in errors


def test_an_installed_ros_of_another_python_is_said(clone):
    fake(clone, "ros2", "exit 0")
    errors = refusal(clone, ROS_DISTRO="jazzy")
    assert f"cannot import rclpy of the ROS 2 at {clone}/bin/ros2" in errors


@needs_wheels
def test_the_clone_is_found_whatever_cdpath_says(clone, tmp_path):
    (tmp_path / "elsewhere" / "clone").mkdir(parents=True)
    fake(clone, "df", "echo head; echo '/dev/x 100 90 10 90% /'")
    _, _, errors = source(
        clone, "clone/env.sh", str(tmp_path), CDPATH=str(tmp_path / "elsewhere")
    )
    assert f"needs 4000 MB of disk at {clone} and" in errors


@needs_wheels
def test_no_network_is_said_in_one_sentence(clone):
    fake_python(clone)
    code, _, errors = source(clone, **NOWHERE)
    assert code == 1
    assert errors.count("\n") == 1
    assert "pip could not download the packages; check the network" in errors


@needs_wheels
def test_a_download_that_ended_before_the_other_failed_is_no_end_without_a_word(clone):
    fake_python(clone)
    lock = clone / "requirements" / "wheels.txt"
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    lock.write_text("".join(line for line in lines if not line.startswith("torch==")))
    code, _, errors = source(clone, **NOWHERE)
    assert code == 1
    assert "pip could not download the packages; check the network" in errors


def test_it_must_be_sourced(clone):
    result = subprocess.run(["bash", clone / "env.sh"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "source it" in result.stderr


def test_files_and_texts_are_utf_8_in_any_locale():
    program = "import sys; print(open('/dev/null').encoding, sys.stdout.encoding)"
    result = subprocess.run(
        ["bash", "-c", 'source "$1" && python -c "$2"', "bash", ROOT / "env.sh", program],
        env={"HOME": os.environ["HOME"], "PATH": os.defpath, "LC_ALL": "de_DE.ISO-8859-1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.lower() == "utf-8 utf-8\n", result.stderr
