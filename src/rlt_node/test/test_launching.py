"""What the launch files do when a process ends, and with arguments that fit nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from launch import LaunchContext

from rlt_node.launching import ARGUMENTS, Graph, namespaces
from rlt_node.process import EXIT_LOST

HEAD = """
import sys
from launch import LaunchDescription
from launch.actions import ExecuteProcess, Shutdown
from rlt_node.launching import expendable, finally_, required

def process(program, **options):
    return ExecuteProcess(cmd=[sys.executable, "-c", program], output="screen", **options)

def generate_launch_description():
"""
LEADER = 'process("import time; time.sleep(2.0)")'
END = 'finally_(leader, "leader", [Shutdown(reason="done")]), leader'


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ros2", "launch", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )


def launched(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    file = folder / "some.launch.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
    return launch(str(file))


def test_an_expendable_node_that_dies_is_named_and_comes_back_and_the_run_goes_on(tmp_path):
    done = launched(tmp_path, f"""leader = {LEADER}
device = process("import sys; print('here', flush=True); sys.exit(3)", respawn=True,
                 respawn_delay=0.3)
return LaunchDescription([*expendable({{"gamepad": device}}), device, {END}])""")
    assert done.returncode == 0, done.stdout
    assert "gamepad ended with exit code 3: the robot holds" in done.stdout
    assert done.stdout.count("] here") >= 2


def test_a_required_node_that_dies_ends_the_launch_with_its_name(tmp_path):
    done = launched(tmp_path, f"""leader = {LEADER}
policy = process("import sys; sys.exit(3)")
return LaunchDescription([*required({{"policy": policy}}), policy, {END}])""")
    assert done.returncode == 1
    assert "policy ended with exit code 3" in done.stdout


@pytest.mark.parametrize("kind", ["required", "expendable"])
def test_what_a_node_loses_as_the_launch_ends_fails_the_launch(tmp_path, kind):
    done = launched(tmp_path, f"""leader = {LEADER}
recorder = process("import signal, sys, time; "
                   "signal.signal(signal.SIGINT, lambda *_: sys.exit({EXIT_LOST})); "
                   "time.sleep(60.0)")
return LaunchDescription([*{kind}({{"recorder": recorder}}), recorder, {END}])""")
    assert done.returncode == 1
    assert f"recorder ended with exit code {EXIT_LOST}" in done.stdout


@pytest.mark.parametrize(
    ("supervisor", "device", "expected"),
    [
        ("auto", "gamepad", set()),
        ("human", "gamepad", {"operator", "gamepad"}),
        ("human", "person", {"operator", "person"}),
        ("human", "joy", {"operator", "game_controller_node"}),
        ("human", "keyboard", {"operator"}),
        ("human", "none", {"operator"}),
    ],
)
def test_a_supervised_run_has_an_operator_and_the_device_that_a_launch_can_start(
    supervisor, device, expected
):
    context = LaunchContext()
    context.launch_configurations.update(
        {name: default for name, (default, _) in ARGUMENTS.items()},
        supervisor=supervisor, device=device,
    )
    graph = Graph.of(context)
    assert set(graph.person()) == expected
    assert graph.mode == ("real_time" if supervisor == "human" else "lockstep")
    assert len(graph.greeting) == (2 if device == "keyboard" else 1)


def in_context(**given: str) -> LaunchContext:
    context = LaunchContext()
    context.launch_configurations.update(
        {name: default for name, (default, _) in ARGUMENTS.items()}, **given
    )
    return context


def test_robots_that_are_started_together_are_different_runs():
    names = {Graph.of(in_context(namespace=name)).output.name for name in ("/lab/r1", "r2", "rlt")}
    assert [name.partition("seed0")[2] for name in sorted(names, key=len)] == ["", "-r2", "-lab-r1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("robot1", ["/robot1"]), ("/a, lab/b,", ["/a", "/lab/b"])],
)
def test_robots_are_named_by_their_namespaces(text, expected):
    assert namespaces(in_context(robots=text), "robots") == expected


def test_a_real_robots_learner_needs_nobody_who_judges(tmp_path):
    file = tmp_path / "arm.yaml"
    file.write_text("{}")
    context = in_context(robot=str(file))
    with pytest.raises(ValueError, match="add supervisor:=human"):
        Graph.of(context)
    del context.launch_configurations["supervisor"]
    assert Graph.of(context).mode == "real_time"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("supervisor:=human", "profile:=pedals"), "no profile 'pedals': expected one of"),
        (("supervisor:=human", "device:=pedals"), "device"),
        (("full_task:=perhaps",), "full_task"),
        (("warmup_episodes:=few",), "warmup_episodes:=few is no whole number"),
        (("robot:=/nowhere.yaml",), "add supervisor:=human"),
    ],
)
def test_arguments_that_fit_nothing_are_refused_in_one_sentence(arguments, words):
    done = launch("rlt_bringup", "train.launch.py", *arguments)
    assert done.returncode == 1
    assert words in done.stdout and "Traceback" not in done.stdout
