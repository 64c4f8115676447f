"""The layout of the repository: ROS-independent packages stay so, versions agree."""

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in SRC.glob("*/package.xml"))
PURE = {
    "rlt_core": SRC / "rlt_core/rlt_core",
    "rlt_sim.world": SRC / "rlt_sim/rlt_sim/world",
}
ROS_ROOTS = {"rclpy", "rlt_interfaces", "rlt_node", "std_msgs", "sensor_msgs", "geometry_msgs"}


def imported_roots(path: Path) -> set[str]:
    """Top-level names of everything that the module imports, anywhere in the file."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            roots.add(node.module.split(".")[0])
    return roots


def test_a_forbidden_import_would_be_found(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def late():\n    from rclpy.node import Node\n    return Node\n")
    assert "rclpy" in imported_roots(module)


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_name_no_ros_import(package):
    modules = sorted(PURE[package].rglob("*.py"))
    assert modules
    offenders = {
        str(path.relative_to(SRC)): sorted(imported_roots(path) & ROS_ROOTS) for path in modules
    }
    assert not {path: roots for path, roots in offenders.items() if roots}


def load_without(roots: set[str], names: list[str]) -> None:
    """Import modules in a process in which these packages cannot be imported."""
    program = (
        "import importlib, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {sorted(roots)!r}:\n"
        "            raise ImportError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )
    # The children see the packages' sources even where the workspace is not built.
    path = [str(SRC / "rlt_core"), str(SRC / "rlt_sim"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{program}"],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_load_without_ros(package):
    names = [
        ".".join([package, *path.relative_to(PURE[package]).with_suffix("").parts])
        for path in sorted(PURE[package].rglob("*.py"))
        if path.name != "__init__.py"
    ]
    load_without(ROS_ROOTS, names)


def test_only_policy_and_learner_load_torch():
    """The others start in a second, even on the robot's small computer."""
    nodes = [
        ".".join(path.relative_to(SRC).with_suffix("").parts[1:])
        for path in sorted(SRC.glob("*/rlt_*/**/*_node.py"))
        if path.stem not in ("policy_node", "learner_node")
    ]
    assert len(nodes) >= 7
    load_without({"torch"}, nodes)


ROLES = {
    "robot": {"rlt_policy", "rlt_learner", "rlt_episodes", "rlt_teleop"},
    "learner": {"rlt_learner"},
    "reports": {"rlt_report", "rlt_learner"},
}
"""Which packages a computer needs for what it does, beside those that all need."""
EVERYWHERE = {"rlt_core", "rlt_interfaces", "rlt_node", "rlt_bringup"}
DEAR = {"rlt_sim": {"mujoco"}, "rlt_report": {"jinja2", "matplotlib", "mcap"}}
"""Packages that not every computer should have to install, and what they bring along."""


@pytest.mark.parametrize("role", ROLES)
def test_a_computer_needs_the_packages_of_its_role_alone(role):
    needed = ROLES[role] | EVERYWHERE
    others = {package.name for package in PACKAGES} - needed
    hidden = others.union(*(DEAR[package] for package in DEAR.keys() - needed))
    modules = [
        ".".join(path.relative_to(SRC / package).with_suffix("").parts)
        for package in sorted(needed - {"rlt_interfaces"})
        for path in sorted((SRC / package / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert len(modules) > 40
    load_without(hidden, modules)


def test_the_packages_of_a_role_declare_no_others():
    """Nor does docs/deployment.md name others."""
    text = (SRC.parent / "docs" / "deployment.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w+) \| `((?:rlt_\w+ ?)+)` \|", text, re.MULTILINE))
    assert rows.keys() == ROLES.keys()
    for role, packages in ROLES.items():
        assert packages <= set(rows[role].split()) <= packages | EVERYWHERE
        for package in packages | EVERYWHERE:
            manifest = ElementTree.parse(SRC / package / "package.xml").getroot()
            stated = {str(item.text) for item in manifest.iter("exec_depend")}
            ours = {name for name in stated if name.startswith("rlt_")}
            assert ours <= packages | EVERYWHERE, (role, package)


def test_nodes_are_where_the_method_meets_ros():
    """rclpy is imported in nodes, in what they share, in robot outputs and in the reset alone."""
    allowed = re.compile(r"(_node\.py$|/rlt_node/rlt_node/|/outputs/|/rlt_episodes/reset\.py$)")
    modules = [path for path in SRC.glob("*/rlt_*/**/*.py") if "rclpy" in imported_roots(path)]
    assert modules
    assert [str(path.relative_to(SRC)) for path in modules if not allowed.search(str(path))] == []


def text_without_encoding(source: str) -> list[int]:
    """The lines that open, read or write a text file with the encoding of the locale."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        words = ast.unparse(call)
        name = ast.unparse(call.func).rpartition(".")[2]
        mode = re.search(r"\((?:.*, )?(?:mode=)?'([rwxabt+]+)'", words)
        opens = name == "open" and (words.startswith("open(") or mode)
        binary = opens and mode and "b" in mode[1]
        if (opens or name in ("read_text", "write_text")) and not binary:
            if "encoding" not in {word.arg for word in call.keywords}:
                lines.append(call.lineno)
    return lines


def test_a_text_file_without_encoding_would_be_found():
    text = (
        "open(p)\nopen(p, 'w')\nopen(p, 'rb')\np.open('a')\np.read_text()\np.write_text('x')\n"
        "open(p, encoding='utf-8')\nos.open(p, os.O_RDONLY)\np.read_text(encoding='utf-8')\n"
    )
    assert text_without_encoding(text) == [1, 2, 4, 5, 6]


def test_text_files_name_their_encoding():
    folders = [SRC, *(SRC.parent / name for name in ("tools", "launch", "benchmarks"))]
    modules = [path for folder in folders for path in folder.rglob("*.py")]
    found = {
        str(path.relative_to(SRC.parent)): lines
        for path in modules
        if "/test/" not in str(path) and (lines := text_without_encoding(path.read_text("utf-8")))
    }
    assert len(modules) > 100 and found == {}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_package_is_complete(package):
    manifest = ElementTree.parse(package / "package.xml").getroot()
    assert manifest.findtext("name") == package.name
    assert manifest.findtext("license") == "Apache-2.0"
    readme = (package / "README.md").read_text()
    assert readme.startswith(f"# {package.name}\n")


def test_one_version_everywhere():
    versions = {}
    for package in PACKAGES:
        manifest = ElementTree.parse(package / "package.xml").getroot()
        versions[f"{package.name}/package.xml"] = manifest.findtext("version")
        setup = package / "setup.py"
        if setup.exists():
            found = re.search(r"version=['\"]([^'\"]+)['\"]", setup.read_text())
            versions[f"{package.name}/setup.py"] = found and found.group(1)
    changelog = (SRC.parent / "CHANGELOG.md").read_text()
    released = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    versions["CHANGELOG.md"] = released and released.group(1)
    assert len(set(versions.values())) == 1, versions
