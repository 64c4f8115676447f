"""Every package's manifest names what its code imports, and nothing else."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(path.parent.name for path in (ROOT / "src").glob("*/setup.py"))
# What is imported under another name than it is installed under: rosdep's keys.
ROSDEP = {
    "cv2": "python3-opencv",
    "hypothesis": "python3-hypothesis",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "mujoco": "python3-mujoco-pip",
    "numpy": "python3-numpy",
    "pydantic": "python3-pydantic",
    "pytest": "python3-pytest",
    "tensorboard": "python3-tensorboard-pip",
    "torch": "python3-torch",
    "tqdm": "python3-tqdm",
    "transforms3d": "python3-transforms3d",
    "yaml": "python3-yaml",
}
# What rosdep does not know: the names of the Python package index, for setup.py.
PIP = {"mcap": "mcap", "safetensors": "safetensors", "sdl2": "pysdl2"}
LOADED = {"pysdl2-dll"}  # without an import of ours
TEST_TOOLS = {"python3-pytest", "python3-pytest-timeout", "python3-pytest-xdist"}
SHARED = ROOT / "testing"
OUR_TEST_MODULES = {path.stem for path in SHARED.rglob("*.py")} | {"faults"}


def imported(folder: Path) -> set[str]:
    """What the modules of a folder need installed, as a manifest names it."""
    ours = {path.stem for path in folder.rglob("*.py")} if folder.name == "test" else {folder.name}
    found = set()
    for path in folder.rglob("*.py"):
        for name in _modules(ast.parse(path.read_text(encoding="utf-8"))):
            top = "tensorboard" if name == "torch.utils.tensorboard" else name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ours:
                found.add(ROSDEP.get(top, PIP.get(top, top)))
    return found


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def declared(package: str, *kinds: str) -> set[str]:
    """What package.xml declares."""
    manifest = ElementTree.parse(ROOT / "src" / package / "package.xml")
    return {str(item.text) for kind in kinds for item in manifest.iter(kind)}


def required(package: str) -> set[str]:
    """What setup.py requires from the Python package index."""
    tree = ast.parse((ROOT / "src" / package / "setup.py").read_text(encoding="utf-8"))
    lists = [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "install_requires"
    ]
    return set(ast.literal_eval(lists[0])) - {"setuptools"} if lists else set()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports_and_nothing_else(package):
    needed = imported(ROOT / "src" / package / package)
    stated = declared(package, "depend", "exec_depend") | required(package)
    assert needed - stated == set(), "imported, not declared"
    assert stated - needed - LOADED == set(), "declared, not imported"
    assert required(package) <= {*PIP.values(), *LOADED}, "rosdep knows it: use package.xml"


@pytest.mark.parametrize("package", PACKAGES)
def test_its_tests_need_no_more_than_it_declares(package):
    needed = imported(ROOT / "src" / package / "test") - OUR_TEST_MODULES
    stated = declared(package, "test_depend")
    run = declared(package, "depend", "exec_depend") | required(package) | {package}
    assert needed - stated - run == set(), "imported by tests, not declared"
    assert stated - needed - TEST_TOOLS == set(), "declared for tests, not imported by them"


def test_bringup_declares_what_launch_files_and_its_tests_import():
    stated = declared("rlt_bringup", "exec_depend")
    code = imported(ROOT / "launch") | imported(ROOT / "src" / "rlt_bringup" / "rlt_bringup")
    assert code - stated - {"rlt_bringup"} == set()
    tests = imported(Path(__file__).parent) | imported(SHARED)
    tests -= OUR_TEST_MODULES | {"rlt_bringup", "testing"}
    assert tests - stated - declared("rlt_bringup", "test_depend") == set()


def test_what_nodes_share_needs_no_launch_and_no_package_above_it():
    stated = declared("rlt_node", "depend", "exec_depend")
    assert not stated & {"launch", "launch_ros"}
    assert {name for name in stated if name.startswith("rlt_")} == {"rlt_core", "rlt_interfaces"}


def test_a_commit_is_checked_with_the_ruff_of_the_tests():
    checks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    ruff = next(repo["rev"] for repo in checks["repos"] if repo["repo"].endswith("ruff-pre-commit"))
    for pins in ("wheels", "jazzy"):
        lines = (ROOT / "requirements" / f"{pins}.txt").read_text(encoding="utf-8").splitlines()
        assert f"ruff=={ruff.removeprefix('v')}" in lines


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem
)
def test_what_a_benchmark_imports_of_ours_exists(path):
    """Nobody runs the benchmarks for every change."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rlt_"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
