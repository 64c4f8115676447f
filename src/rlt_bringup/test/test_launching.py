"""What the launch files do when a process ends, and with invalid arguments."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from ament_index_python.packages import get_packages_with_prefixes
from launch import LaunchContext
from launch.actions import LogInfo

from rlt_bringup.arguments import ARGUMENTS, SCHEDULE, flag, namespaces, whole
from rlt_bringup.launching import Graph
from rlt_node.process import EXIT_LOST

HEAD = """
import sys
from launch import LaunchDescription
from launch.actions import ExecuteProcess, Shutdown
from rlt_bringup.process_exits import Run, optional_nodes, on_success, required

def process(program, **options):
    return ExecuteProcess(cmd=[sys.executable, "-c", program], output="screen", **options)

def generate_launch_description():
"""
WHOLE = """
task: ethernet
time_limit_ticks: 480
approach_limit_ticks: 400
time_limit: failure
"""
LEADER = 'process("import time; time.sleep(2.0)")'
END = 'on_success(leader, "leader", [Shutdown(reason="done")]), leader'


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ros2", "launch", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )


def launched(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    file = folder / "some.launch.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
    return launch(str(file))


def test_an_expendable_node_that_dies_is_named_and_comes_back_and_the_run_goes_on(tmp_path):
    done = launched(tmp_path, f"""leader = {LEADER}
device = process("import sys; print('here', flush=True); sys.exit(3)", respawn=True,
                 respawn_delay=0.3)
return LaunchDescription([*optional_nodes({{"gamepad": device}}), device, {END}])""")
    assert done.returncode == 0, done.stdout
    assert "gamepad ended with exit code 3: the robot holds" in done.stdout
    assert done.stdout.count("] here") >= 2


def test_a_required_node_that_dies_ends_the_launch_with_its_name(tmp_path):
    done = launched(tmp_path, f"""leader = {LEADER}
policy = process("import sys; sys.exit(3)")
return LaunchDescription([*required({{"policy": policy}}), policy, {END}])""")
    assert done.returncode == 1
    assert "policy ended with exit code 3" in done.stdout


@pytest.mark.parametrize("kind", ["required", "optional_nodes"])
def test_what_a_node_loses_as_the_launch_ends_fails_the_launch(tmp_path, kind):
    done = launched(tmp_path, f"""leader = {LEADER}
recorder = process("import signal, sys, time; "
                   "signal.signal(signal.SIGINT, lambda *_: sys.exit({EXIT_LOST})); "
                   "time.sleep(60.0)")
return LaunchDescription([*{kind}({{"recorder": recorder}}), recorder, {END}])""")
    assert done.returncode == 1
    assert f"recorder ended with exit code {EXIT_LOST}" in done.stdout


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (EXIT_LOST, 1)])
def test_a_node_may_end_after_its_run_but_lose_nothing(tmp_path, code, expected):
    done = launched(tmp_path, f"""leader = {LEADER}
recorder = process("import sys; sys.exit({code})")
return LaunchDescription([*required({{"recorder": recorder}}, Run(over=True)), recorder, {END}])""")
    assert done.returncode == expected, done.stdout


@pytest.mark.parametrize(
    ("supervisor", "device", "expected"),
    [
        ("auto", "gamepad", set()),
        ("human", "gamepad", {"operator", "gamepad"}),
        ("human", "person", {"operator", "person"}),
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
        {name: default for name, (default, _) in {**ARGUMENTS, **SCHEDULE}.items()}, **given
    )
    return context


@pytest.mark.parametrize(
    ("around", "given", "expected"),
    [
        ("", "rlt", "/rlt"), ("/lab", "rlt", "/lab/rlt"), ("/lab", "/rlt", "/rlt"),
        ("/lab", "", "/lab"), ("", "/", "/"), ("/lab/", "r1/", "/lab/r1"),
    ],
)
def test_a_namespace_that_was_pushed_reaches_hints_and_robots(around, given, expected):
    context = in_context(
        namespace=given, supervisor="human", device="keyboard", robots="left,/right",
        **({"ros_namespace": around} if around else {}),
    )
    graph = Graph.of(context)
    assert graph.namespace == expected
    hint = perform(context, graph.greeting[-1])
    assert hint.endswith("keyboard" if expected == "/rlt" else f"--ros-args -r __ns:={expected}")
    assert namespaces(context, "robots") == [f"{around.rstrip('/')}/left", "/right"]


def perform(context: LaunchContext, said: LogInfo) -> str:
    """The sentence of a LogInfo, which the original launch keeps as substitutions."""
    words = [said.msg] if isinstance(said.msg, str) else said.msg
    return "".join(word if isinstance(word, str) else word.perform(context) for word in words)


def test_paths_know_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "arm.yaml").write_text("robot: arm")
    given = in_context(output="~/runs/one", robot="~/arm.yaml", supervisor="human")
    graph = Graph.of(given)
    assert graph.output == tmp_path / "runs" / "one"
    assert graph.robot_file == tmp_path / "arm.yaml"
    with pytest.raises(FileNotFoundError, match=f"no checkpoint in {tmp_path}/ck"):
        Graph.of(in_context()).control("~/ck")


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("7", 7), ("1e3", 1000), ("5.0", 5), (" 8 ", 8), ("+9", 9)]
)
def test_whole_numbers_as_people_write_them(text, expected):
    assert whole(in_context(seed=text), "seed") == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("seed", "many", "argument seed:=many is not a whole number"),
        ("seed", "1.5", "not a whole number"), ("seed", "inf", "not a whole number"),
        ("seed", "nan", "not a whole number"), ("seed", "-1", "too small: expected 0 or more"),
        ("episodes", "0", "argument episodes:=0 is too small: expected 1 or more"),
        ("warmup_episodes", "0", "expected 1 or more"),
    ],
)
def test_what_is_no_whole_number_or_too_small_is_refused(name, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        whole(in_context(**{name: text}), name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("True", True), ("yes", True), ("1", True), ("FALSE", False), ("0", False)],
)
def test_flags_as_people_write_them(text, expected):
    assert flag(in_context(full_task=text), "full_task") is expected
    assert Graph.of(in_context(full_task=text)).full_task is expected


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
    file.write_text("")
    context = in_context(robot=str(file))
    with pytest.raises(ValueError, match="add supervisor:=human"):
        Graph.of(context)
    assert Graph.of(context, supervisor="").mode == "real_time"


def test_ones_own_parameters_come_after_all_other_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "mine.yaml"
    file.write_text("/**/operator: {ros__parameters: {debounce_s: 0.1}}")
    graph = Graph.of(in_context(params_file="~/mine.yaml", supervisor="human", model="~/vla"))
    assert graph.agreed["model"] == str(tmp_path / "vla")
    files = graph.defaults(tmp_path / "xbox.yaml")
    assert [path.name for path in files] == ["rlt.yaml", "xbox.yaml", "mine.yaml"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("task: ethernet", "lacks time_limit_ticks, approach_limit_ticks, time_limit: see"),
        (WHOLE + "gamma: 1", "holds gamma, but a task has only task, time_limit_ticks"),
        (WHOLE.replace("480", "long"), "yaml: time_limit_ticks is 'long', expected a whole"),
        (WHOLE.replace("480", "-5"), "yaml: .*time_limit_ticks = -5"),
        (WHOLE.replace("failure", "never"), "yaml: .*time_limit = 'never'"),
        (WHOLE + "world: {mode: real_time}", "holds mode: a launch sets it"),
        (WHOLE + "world: small", "world of task file .* is 'small', expected names and values"),
        ("[", "cannot be read"), ("just text", "holds no keys"),
    ],
)
def test_a_task_that_is_none_is_said_in_one_sentence(tmp_path, content, words):
    file = tmp_path / "task.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=words):
        Graph.of(in_context(task=str(file)))


def test_a_launch_file_without_an_argument_does_not_take_it_from_others():
    context = in_context(robot="arm.yaml", supervisor="human")
    graph = Graph.of(context, robot="sim", supervisor="")
    assert set(graph.robot()) == {"simulator"} and graph.person() == {}
    assert graph.robot_file.name == "sim.yaml"


def test_a_task_with_another_instruction_than_the_policys_is_refused(tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text(WHOLE + "instruction: make tea")
    with pytest.raises(ValueError, match="is 'make tea', but the base policy in .*socket"):
        Graph.of(in_context(task=str(file))).control()


@pytest.fixture
def place(tmp_path):
    """A folder with a file, a run, and files that hold no valid parameters."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"run": "run"}')
    (tmp_path / "words.yaml").write_text("just: text")
    (tmp_path / "mixed.yaml").write_text("/**/learner: {ros__parameters: {velocity: [0.5, 1]}}")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("supervisor:=human", "device:=joy"), "game_controller_node of package joy is not"),
        (("output:={}/file",), "file cannot be created or written"),
        (("output:={}/file/below",), "file: Not a directory"),
        (("output:=/proc/run",), "output folder /proc/run cannot be created or written"),
        (("output:={}/run",), "already contains a run"),
        (("output:={}/new", "resume:=yes"), "contains no run to resume"),
        (("supervisor:=human", "robot:={}/words.yaml"), "just is unknown here"),
        (("params_file:={}/mixed.yaml",), "ROS accepts only lists of one type"),
        (("supervisor:=human", "profile:={}/words.yaml"), "is not a ROS parameter file"),
        (("namespace:=2nd",), "'2nd' is not a namespace"),
        (("seed:=-3",), "argument seed:=-3 is too small"),
        (("params_file:={}/words.yaml",), "is not a ROS parameter file"),
        (("task:={}/words.yaml",), "words.yaml lacks task, time_limit_ticks"),
    ],
)
def test_what_is_missing_is_said_before_the_first_process_starts(place, arguments, words):
    if "device:=joy" in arguments and "joy" in get_packages_with_prefixes():
        pytest.skip("this machine has the package that others lack")
    before = sorted(place.rglob("*"))
    done = launch(
        "rlt_bringup", "train.launch.py", *(word.format(place) for word in arguments),
        *(() if "output" in str(arguments) else (f"output:={place}/new",)),
    )
    assert done.returncode == 1
    assert words in done.stdout and "Traceback" not in done.stdout
    assert "process started" not in done.stdout
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("file", ["train", "learner", "teleop"])
def test_a_model_that_is_not_there_is_said_by_every_launch_that_needs_it(file, tmp_path):
    output = () if file == "teleop" else (f"output:={tmp_path}/new",)
    done = launch("rlt_bringup", f"{file}.launch.py", "model:=/nowhere", *output)
    assert done.returncode == 1
    assert "/nowhere" in done.stdout and "Traceback" not in done.stdout
    assert "process started" not in done.stdout


def test_what_an_included_launch_file_lacks_leaves_no_process_of_others_behind(tmp_path):
    file = tmp_path / "some.launch.py"
    file.write_text(HEAD + f"""
    from launch.actions import IncludeLaunchDescription
    from launch.substitutions import PathJoinSubstitution
    from launch_ros.substitutions import FindPackageShare
    share = FindPackageShare("rlt_bringup")
    return LaunchDescription([
        process("import time; time.sleep(600.0)  # {tmp_path}"),
        IncludeLaunchDescription(
            PathJoinSubstitution([share, "launch", "train.launch.py"]),
            launch_arguments={{"task": "tea"}}.items(),
        ),
    ])
""")
    done = launch(str(file))
    assert done.returncode == 1
    assert "there is no task 'tea'" in done.stdout
    assert not any(str(tmp_path).encode() in line for line in command_lines())


def command_lines() -> list[bytes]:
    """The command lines of all processes except this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if path.parent.name != str(os.getpid()):
                found.append(path.read_bytes())
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("supervisor:=human", "profile:=pedals"), "no profile 'pedals': expected one of"),
        (("supervisor:=human", "device:=pedals"), "device"),
        (("full_task:=perhaps",), "argument full_task:=perhaps is neither true nor false"),
        (("warmup_episodes:=few",), "warmup_episodes:=few is not a whole number"),
        (("robot:=/nowhere.yaml",), "add supervisor:=human"),
    ],
)
def test_arguments_that_fit_nothing_are_refused_in_one_sentence(arguments, words):
    done = launch("rlt_bringup", "train.launch.py", *arguments)
    assert done.returncode == 1
    assert words in done.stdout and "Traceback" not in done.stdout
