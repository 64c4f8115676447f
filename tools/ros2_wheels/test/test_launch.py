"""What a launch does, pinned with real processes."""

import os
import signal
from pathlib import Path

import pytest

from .conftest import wait_until

READY = "import signal, sys, time; print('ready', flush=True); "
STUBBORN = (
    "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, "
    "signal.SIGTERM)]; print('ready', flush=True); time.sleep(60)"
)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter between opening and reading
        return True


def pid_of(text: str, name: str) -> int:
    return int(text.split(f"[{name}]: process started with pid [")[1].split("]")[0])


def test_a_launch_whose_processes_end_well_returns_0(ros2, launch_file):
    code, text = ros2("launch", launch_file("python('print(\"done\")')"))
    assert code == 0, text
    assert "[child-1] done" in text
    assert "[INFO] [child-1]: process has finished cleanly" in text


def test_a_process_that_fails_alone_leaves_the_exit_code_0(ros2, launch_file):
    code, text = ros2("launch", launch_file("python('raise SystemExit(3)')"))
    assert code == 0, text
    assert "[ERROR] [child-1]: process has died" in text
    assert "exit code 3" in text


def test_an_exception_in_an_exit_handler_returns_1_and_names_the_process(ros2, launch_file):
    path = launch_file(
        "(a := python('raise SystemExit(3)', name='victim')),"
        "python('import time; time.sleep(60)'),"
        "RegisterEventHandler(OnProcessExit(target_action=a, on_exit=fail))"
    )
    code, text = ros2("launch", path)
    assert code == 1, text
    assert "Caught exception in launch" in text and "victim-1 died with 3" in text


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_every_process_once_and_returns_0(start, launch_file, sign):
    child = (
        READY + "signal.signal(signal.SIGINT, lambda *_: (print('one SIGINT', flush=True), "
        "time.sleep(0.3), sys.exit(0))); print('set', flush=True); time.sleep(60)"
    )
    launch = start("ros2", "launch", launch_file(f"python({child!r}), python({child!r})"))
    launch.wait_for("[child-1] set")
    launch.wait_for("[child-2] set")
    launch.send(sign)
    assert launch.end() == 0, launch.text
    assert launch.text.count("one SIGINT") == 2
    assert launch.text.count("has finished cleanly") == 2
    assert all(is_gone(pid_of(launch.text, name)) for name in ("child-1", "child-2"))


def test_a_stubborn_process_gets_sigint_then_sigterm_then_sigkill(start, launch_file):
    launch = start(
        "ros2",
        "launch",
        launch_file(f"python({STUBBORN!r}, sigterm_timeout='0.3', sigkill_timeout='0.3')"),
    )
    launch.wait_for("[child-1] ready")
    launch.send(signal.SIGINT)
    assert launch.end() == 0, launch.text
    order = [
        launch.text.index(f"sending signal '{name}'") for name in ("SIGINT", "SIGTERM", "SIGKILL")
    ]
    assert order == sorted(order)
    assert "failed to terminate '0.3' seconds after receiving 'SIGINT'" in launch.text
    assert f"exit code {-signal.SIGKILL}" in launch.text


def test_each_further_ctrl_c_takes_the_next_step_at_once(start, launch_file):
    launch = start(
        "ros2",
        "launch",
        launch_file(f"python({STUBBORN!r}, sigterm_timeout='1000', sigkill_timeout='1000')"),
    )
    launch.wait_for("[child-1] ready")
    for name in ("SIGINT", "SIGTERM", "SIGKILL"):
        launch.send(signal.SIGINT)
        launch.wait_for(f"sending signal '{name}'")
    assert launch.end() == 0, launch.text


def test_processes_die_with_a_launch_that_is_killed(start, launch_file):
    launch = start("ros2", "launch", launch_file(f"python({STUBBORN!r})"))
    launch.wait_for("[child-1] ready")
    pid = pid_of(launch.text, "child-1")
    assert not is_gone(pid)
    launch.send(signal.SIGKILL)
    launch.end()
    wait_until(lambda: is_gone(pid), lambda: f"process {pid} outlived its launch")


def test_show_args_lists_arguments_with_default_description_and_choices(ros2, launch_file):
    inner = launch_file(
        "DeclareLaunchArgument('inner', default_value='7', description='In it.')",
        name="inner.launch.py",
    )
    code, text = ros2(
        "launch",
        "--show-args",
        launch_file(
            "DeclareLaunchArgument('robot', default_value='sim', choices=['sim', 'arm'], "
            "description='Which robot'), DeclareLaunchArgument('task'),"
            f"GroupAction([IncludeLaunchDescription(PythonLaunchDescriptionSource({str(inner)!r}))])"
        ),
    )
    assert code == 0, text
    assert text.splitlines() == [
        "Arguments (pass arguments as '<name>:=<value>'):",
        "",
        "    'robot':",
        "        Which robot. Valid choices are: ['sim', 'arm']",
        "        (default: 'sim')",
        "",
        "    'task':",
        "        no description given",
        "",
        "    'inner':",
        "        In it.",
        "        (default: '7')",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["robot:=arm"], "missing required argument 'task'"),
        (["task:=t", "robot:=cat"], "Argument 'robot' provided value 'cat' is not valid"),
        (["task"], "malformed launch argument 'task'"),
    ],
)
def test_wrong_arguments_return_1_with_a_sentence(ros2, launch_file, words, expected):
    path = launch_file(
        "DeclareLaunchArgument('task'), DeclareLaunchArgument('robot', "
        "default_value='sim', choices=['sim', 'arm'])"
    )
    code, text = ros2("launch", path, *words)
    assert code == 1
    assert expected in text
    assert "Traceback" not in text


def test_arguments_conditions_and_substitutions(ros2, launch_file):
    inner = launch_file(
        "DeclareLaunchArgument('x', default_value='0'),"
        "LogInfo(msg=['inner x ', LaunchConfiguration('x')])",
        name="inner.launch.py",
    )
    code, text = ros2(
        "launch",
        launch_file(
            "DeclareLaunchArgument('n', default_value='2'),"
            "DeclareLaunchArgument('view', default_value='false'),"
            "LogInfo(msg=['n is ', LaunchConfiguration('n')]),"
            "LogInfo(msg=['twice ', PythonExpression(['2 * ', LaunchConfiguration('n')])]),"
            "LogInfo(msg=PathJoinSubstitution(['a', LaunchConfiguration('n'), "
            "TextSubstitution(text='b')])),"
            "LogInfo(msg=EnvironmentVariable('NOT_SET', default_value='unset')),"
            "LogInfo(msg='shown', condition=UnlessCondition(LaunchConfiguration('view'))),"
            "LogInfo(msg='hidden', condition=IfCondition(LaunchConfiguration('view'))),"
            "LogInfo(msg='five', condition=LaunchConfigurationEquals('n', '5')),"
            f"IncludeLaunchDescription({str(inner)!r}, launch_arguments={{'x': '9'}}.items()),"
            "OpaqueFunction(function=lambda context: [LogInfo(msg='opaque ' + "
            "context.launch_configurations['n'])])"
        ),
        "n:=5",
        "unknown:=1",
    )
    assert code == 0, text
    said = [line.split("[launch.user]: ")[1] for line in text.splitlines() if "launch.user" in line]
    assert said == [
        "argument 'unknown' is not declared by test.launch.py; see --show-args",
        "n is 5",
        "twice 10",
        "a/5/b",
        "unset",
        "shown",
        "five",
        "inner x 9",
        "opaque 5",
    ]


def test_what_a_group_sets_is_forgotten_after_it(ros2, launch_file):
    show = 'import os; print(os.environ.get("COLOUR"))'
    code, text = ros2(
        "launch",
        launch_file(
            "GroupAction([SetEnvironmentVariable('COLOUR', 'green'),"
            f"python({show!r}, name='inside')]), python({show!r}, name='outside')"
        ),
    )
    assert code == 0, text
    assert "[inside-1] green" in text
    assert "[outside-2] None" in text


def test_timers_shutdown_and_its_handlers(ros2, launch_file):
    code, text = ros2(
        "launch",
        launch_file(
            "python('import time; time.sleep(60)'),"
            "TimerAction(period=0.1, actions=[LogInfo(msg='time is up'), "
            "Shutdown(reason='enough')]),"
            "TimerAction(period=1000.0, actions=[LogInfo(msg='never')]),"
            "RegisterEventHandler(OnShutdown(on_shutdown=lambda event, context: "
            "[LogInfo(msg='because ' + event.reason)]))"
        ),
    )
    assert code == 0, text
    assert "time is up" in text and "because enough" in text
    assert "never" not in text


def test_a_process_that_respawns_comes_back_until_the_shutdown(start, launch_file):
    launch = start(
        "ros2", "launch", launch_file("python('print(\"here\")', respawn=True, respawn_delay=0.05)")
    )
    launch.wait_for("[child-1] here\n[INFO] [child-1]: process has finished cleanly")
    wait_until(lambda: launch.text.count("[child-1] here") >= 3, lambda: launch.text)
    launch.send(signal.SIGINT)
    assert launch.end() == 0, launch.text


def test_a_single_process_is_stopped_and_does_not_come_back(ros2, launch_file):
    code, text = ros2(
        "launch",
        launch_file(
            "(a := python('import time; time.sleep(60)', name='one', respawn=True)),"
            "python('import time; time.sleep(1.5)', name='other'),"
            "TimerAction(period=0.5, actions=["
            "EmitEvent(event=ShutdownProcess(process_matcher=matches_action(a)))])"
        ),
    )
    assert code == 0, text
    assert text.count("[one-1]: process started") == 1
    assert "sending signal 'SIGINT' to process[one-1]" in text
    assert "[INFO] [other-2]: process has finished cleanly" in text


def test_a_launch_that_fails_at_once_starts_nothing(ros2, launch_file):
    code, text = ros2(
        "launch", launch_file("python('print(\"done\")'), OpaqueFunction(function=lambda _: 1 / 0)")
    )
    assert code == 1, text
    assert "division by zero" in text and "process started" not in text


def test_output_goes_where_it_is_asked_to(ros2, launch_file, environment):
    code = (
        "import sys; print('to stdout', sys.stdout.isatty()); print('to stderr', file=sys.stderr)"
    )
    _, text = ros2(
        "launch",
        launch_file(
            f"ExecuteProcess(cmd=[sys.executable, '-c', {code!r}], name='quiet', output='log'),"
            f"python({code!r}, name='loud'), python({code!r}, name='tty', emulate_tty=True)"
        ),
    )
    assert "[quiet-1] to stderr" in text and "[quiet-1] to stdout" not in text
    assert "[loud-2] to stdout False" in text and "[loud-2] to stderr" in text
    assert "[tty-3] to stdout True" in text and "\r" not in text
    folder = Path(text.split("can be found below ")[1].splitlines()[0])
    assert folder.is_relative_to(environment["ROS_LOG_DIR"])
    assert "[quiet-1] to stdout False" in (folder / "launch.log").read_text()


@pytest.mark.parametrize(
    ("actions", "named"),
    [
        ("__import__('launch.actions', fromlist=['LogInfo']).OpaqueCoroutine()", "OpaqueCoroutine"),
        ("ExecuteProcess(cmd=['true'], output='own_log')", "output='own_log'"),
        ("GroupAction([], forwarding=False)", "GroupAction(forwarding=...)"),
    ],
)
def test_what_the_subset_lacks_is_said_in_a_sentence(ros2, launch_file, actions, named):
    code, text = ros2("launch", launch_file(actions))
    assert code == 1
    assert f"{named} is not part of the launch subset" in text
    assert "Traceback" not in text


def test_a_launch_file_that_is_not_there(ros2, tmp_path):
    code, text = ros2("launch", tmp_path / "nothing.launch.py")
    assert code == 1 and "no file" in text
    code, text = ros2("launch", "no_such_package", "x.launch.py")
    assert code == 1 and "package 'no_such_package' not found" in text


def test_a_node_gets_name_namespace_parameters_and_remappings(
    start, launch_file, probe_node, tmp_path
):
    (tmp_path / "all.yaml").write_text(
        "/**:\n  ros__parameters:\n    count: 1\n    label: from file\n"
        "    nested:\n      depth: 2.5\n"
    )
    (tmp_path / "around.yaml").write_text(
        "/**:\n  ros__parameters:\n    gain: 0.25\n    count: 7\n    flag: false\n"
    )
    (tmp_path / "substituted.yaml").write_text(
        "/**:\n  ros__parameters:\n    label: $(var label) of $(env HOME)\n"
    )
    launch = start(
        "ros2",
        "launch",
        launch_file(
            "DeclareLaunchArgument('label', default_value='nobody'),"
            "SetParameter('flag', True),"
            f"SetParametersFromFile({str(tmp_path / 'around.yaml')!r}),"
            "GroupAction([PushRosNamespace('outer'), Node("
            f"executable={str(probe_node)!r}, name='renamed', namespace='inner', output='screen',"
            f"parameters=[{str(tmp_path / 'all.yaml')!r},"
            f"ParameterFile({str(tmp_path / 'substituted.yaml')!r}, allow_substs=True),"
            "{'gain': ParameterValue(LaunchConfiguration('gain', default='1'), value_type=float),"
            "'sizes': [3, 4]}],"
            "remappings=[('words', 'speech')])])"
        ),
        "label:=somebody",
    )
    launch.wait_for("[probe_node-1] node")
    home = os.environ["HOME"]
    expected = {
        "gain": 1.0,
        "label": f"somebody of {home}",
        "count": 1,
        "flag": False,
        "sizes": [3, 4],
        "nested.depth": 2.5,
    }
    assert f"[probe_node-1] parameters {expected}" in launch.text
    assert "[probe_node-1] topic /outer/inner/speech" in launch.text
    assert "[probe_node-1] node /outer/inner/renamed" in launch.text
    launch.send(signal.SIGINT)
    assert launch.end() == 0, launch.text
    assert "[probe_node-1]: process has finished cleanly" in launch.text


def test_a_node_of_a_package_that_is_not_there_returns_1(ros2, launch_file):
    code, text = ros2("launch", launch_file("Node(package='no_such_package', executable='x')"))
    assert code == 1
    assert "package 'no_such_package' not found" in text
    code, text = ros2("launch", launch_file("Node(package='rclpy', executable='x')"))
    assert code == 1
    assert "package 'rclpy' has no executable 'x'" in text
    code, text = ros2("launch", launch_file("LogInfo(msg=ExecutableInPackage('x', 'rclpy'))"))
    assert code == 1
    assert "package 'rclpy' has no executable 'x'" in text


def test_a_sign_that_the_screen_lacks_does_not_silence_a_launch(start, launch_file):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    actions = r"LogInfo(msg='64 \u00d7 64'), LogInfo(msg='and after it')"
    launch = start("ros2", "launch", launch_file(actions), **ascii_only)
    assert launch.end() == 0, launch.text
    assert r"64 \xd7 64" in launch.text and "and after it" in launch.text
