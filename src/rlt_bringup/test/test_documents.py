"""The documents match the code: their tables and commands are compared with it."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlt_learner.commands import MODULES

ROOT = Path(__file__).resolve().parents[3]
NODES = {
    path.stem.removesuffix("_node"): path for path in sorted(ROOT.glob("src/*/rlt_*/**/*_node.py"))
}
ROS_PACKAGES = sorted({path.relative_to(ROOT).parts[1] for path in NODES.values()})
INTERFACE_FILES = sorted((ROOT / "src/rlt_interfaces").glob("*/*.*"))
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/*/README.md"),
     *ROOT.glob("tools/*/README.md")]
)
INTERFACES = "Topics, services and actions"


# ---- What the documents say


def table(document: Path, heading: str) -> list[tuple[str, ...]]:
    """Cells of the first table below a heading, without the table's head."""
    lines = iter(document.read_text().splitlines())
    assert any(re.fullmatch("#+ " + re.escape(heading), line) for line in lines), (
        f"{document} has no heading '{heading}'"
    )
    rows: list[tuple[str, ...]] = []
    for line in lines:
        if line.startswith("|"):
            rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
        elif rows or line.startswith("#"):
            break
    return rows[2:]


def commands() -> list[tuple[str, str]]:
    """Every command in a bash block of a document, with the document's name."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```bash\n(.*?)```", document.read_text(), re.DOTALL):
            for line in block.splitlines():
                parts = line.split("#")[0].split("&&")
                found += [(str(document.relative_to(ROOT)), part.strip()) for part in parts]
    return [(document, command) for document, command in found if command]


def interfaces() -> set[tuple[str, str, str]]:
    """(does, name, type) of what the nodes' READMEs list; `test_graph.py` checks these tables."""
    return {
        (does, name.strip("`"), kind.strip("`"))
        for package in ROS_PACKAGES
        for _, does, name, kind in table(ROOT / f"src/{package}/README.md", INTERFACES)
    }


# ---- What the code says


def settings_row(item: dataclasses.Field[Any]) -> tuple[str, str, str, str]:
    """Name, default, allowed values and description of a setting, as a README shows them."""
    default = item.default
    if default is dataclasses.MISSING:
        default = item.default_factory()  # type: ignore[misc]
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    bounds = [
        f"{sign} {bound:g}" for sign, bound in (("≥", low), ("≤", high)) if bound is not None
    ]
    return (
        f"`{item.name}`",
        "–" if default in ([], "") else str(default).lower(),
        " or ".join(choices) or ", ".join(bounds),
        item.metadata["description"],
    )


def calls(module: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]


def last_name(node: ast.expr) -> str:
    """`C` of `a.b.C` and of `C`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def imported(module: Path) -> dict[str, tuple[str, str]]:
    """What a module imports by `from … import …`: local name -> (module, name there)."""
    found = {}
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                found[name.asname or name.name] = (str(node.module), name.name)
    return found


def settings_classes(node: str) -> dict[str, type]:
    """The settings that a node, or the class it extends, declares as parameters; by name."""
    path = NODES[node]
    modules = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts[2:])}
    for module, _ in imported(path).values():
        if module == "rlt_node.lifecycle":
            modules[ROOT / "src/rlt_node/rlt_node/lifecycle.py"] = module
    return {
        last_name(call.args[1]): getattr(importlib.import_module(name), last_name(call.args[1]))
        for path, name in modules.items()
        for call in calls(path)
        if last_name(call.func) == "declare"
    }


def parameters(node: str) -> dict[str, Any]:
    """Name and default of every parameter that a node declares."""
    declared = {}
    for cls in settings_classes(node).values():
        for item in dataclasses.fields(cls):
            made = item.default is dataclasses.MISSING
            declared[item.name] = item.default_factory() if made else item.default
    return declared


@functools.cache
def launch_arguments(file: str) -> set[str]:
    """Names of a launch file's arguments."""
    shown = subprocess.run(
        ["ros2", "launch", "rlt_bringup", file, "--show-args"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout
    return set(re.findall(r"^\s+'(\w+)':$", shown, re.MULTILINE))


def readme_of(cls: type) -> Path:
    """The README that documents a settings class: that of its package."""
    return ROOT / "src" / cls.__module__.split(".")[0] / "README.md"


# ---- They agree


@pytest.mark.parametrize("node", NODES)
def test_settings_tables(node):
    for name, cls in settings_classes(node).items():
        rows = [settings_row(item) for item in dataclasses.fields(cls)]
        assert table(readme_of(cls), name) == rows


@pytest.mark.parametrize("node", NODES)
def test_a_nodes_section_links_all_its_parameters(node):
    readme = ROOT / "src" / NODES[node].relative_to(ROOT).parts[1] / "README.md"
    section = re.search(rf"^## {node}\n(.*?)(?=^## |\Z)", readme.read_text(), re.M | re.S)
    assert section, f"{readme} has no section '## {node}'"
    line = re.search(r"^Parameters: .*(?:\n.+)*", section.group(1), re.M)
    assert line, f"{readme}: the section of {node} has no line 'Parameters: …'"
    assert set(re.findall(r"\[(\w+)\]\(", line.group())) == set(settings_classes(node))


PYTHON_PACKAGES = sorted(path.parent.name for path in ROOT.glob("src/*/setup.py"))


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_a_packages_readme_names_its_modules(package):
    folder = ROOT / "src" / package
    named = re.findall(r"`(\w+)(?:\.py)?`", (folder / "README.md").read_text())
    modules = {path.stem for path in (folder / package).rglob("*.py")} - {"__init__", "main"}
    assert modules - set(named) == set()


@pytest.mark.parametrize("kind", ["msg", "srv", "action"])
def test_interface_files(kind):
    heading = {"msg": "Messages", "srv": "Services", "action": "Actions"}[kind]
    expected = []
    for path in INTERFACE_FILES:
        if path.suffix == f".{kind}":
            comment = re.match(r"(#[^\n]*\n)+", path.read_text())
            lines = comment.group().splitlines()
            expected.append((f"`{path.stem}`", " ".join(line.lstrip("# ") for line in lines)))
    assert table(ROOT / "src/rlt_interfaces/README.md", heading) == expected


@pytest.mark.parametrize("node", NODES)
def test_configured_values_are_the_defaults_or_documented(node):
    """The launch files load the values that the documents and the in-process runner have."""
    configured = yaml.safe_load((ROOT / "config/rlt.yaml").read_text())
    values = configured.get(f"/**/{node}", {}).get("ros__parameters", {})
    declared = parameters(node)
    assert set(values) <= set(declared), "config/rlt.yaml sets parameters that nobody declares"
    others = {
        name.strip("`"): float(value)
        for owner, name, value in table(ROOT / "src/rlt_node/README.md", "Configured values")
        if owner == node
    }
    assert others == {name: value for name, value in values.items() if value != declared[name]}


@pytest.mark.parametrize(("document", "command"), commands())
def test_command_exists(document, command):
    words = shlex.split(command)
    match words:
        case ["source", path] | ["bash", path] | ["python", path]:
            assert (ROOT / path).is_file()
        case ["python", "-m", "colcon", "test", "--packages-select", *packages]:
            assert all((ROOT / "src" / package / "test").is_dir() for package in packages)
        case ["pytest", *arguments]:
            paths = [word for word in arguments if "/" in word]
            assert all((ROOT / path).exists() for path in paths)
        case ["ros2", "launch", "rlt_bringup", file, *arguments]:
            given = {word.partition(":=")[0] for word in arguments} - {"--show-args"}
            assert given <= launch_arguments(file)
        case ["ros2", "run", package, executable, *arguments]:
            setup = (ROOT / "src" / package / "setup.py").read_text()
            entry = re.search(rf"['\"]{executable} = ([\w.]+):", setup)
            module = MODULES[executable] if entry[1] == "rlt_learner.commands" else entry[1]
            package = module.partition(".")[0]
            source = (ROOT / "src" / package / (module.replace(".", "/") + ".py")).read_text()
            options = {word for word in arguments if word.startswith("--")}
            assert all(f'"{option}"' in source for option in options)
        case ["ros2", "topic", _, name, *_]:
            known = {row[1] for row in interfaces()} | {"/diagnostics"}
            assert name.removeprefix("/rlt/") in known
        case ["ros2", "service", "call", name, kind, *_]:
            short = kind.rpartition("/")[2]
            assert ("serves", name.removeprefix("/rlt/"), short) in interfaces()
        case ["ros2", "param", "get", node, name]:
            assert name in parameters(node.removeprefix("/rlt/"))
        case ["ros2", "lifecycle", _, node, *_]:
            assert "Lifecycle" in NODES[node.removeprefix("/rlt/")].read_text()
        case ["ros2", "interface", "show", kind]:
            package, folder, name = kind.split("/")
            assert (ROOT / "src" / package / folder / f"{name}.{folder}").is_file()
        case _:
            pytest.fail(f"{document} names a command that this test does not know: {command}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://|mailto:)([^)]+)\)", prose):
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{document} links to {target}, which does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings}
            assert anchor in slugs, f"{document} links to {target}: no such heading"
