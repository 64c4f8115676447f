"""Every module has a ROS domain of its own, and the commands run as real processes."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from domains import claimed_domain

TEST = Path(__file__).parent
PATIENCE_S = 90.0  # far more than anything here takes, so that a busy machine does not fail a test


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Skip all tests where ROS 2 is installed: its own commands need no tests here."""
    try:
        distribution("rlt-ros2-wheels")
    except PackageNotFoundError:
        return True
    return None


@pytest.fixture(scope="module")
def domain() -> Iterator[str]:
    """A ROS domain of the module's own."""
    with claimed_domain() as claimed:
        yield str(claimed)


@pytest.fixture(scope="module")
def environment(domain: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the processes that a test starts."""
    return {
        **os.environ,
        "ROS_DOMAIN_ID": domain,
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("log")),
        "PYTHONUNBUFFERED": "1",
    }


class Command:
    """A running `ros2` command, or another program, and what it has written so far."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                words,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """Everything written so far."""
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until a text has been written."""
        wait_until(lambda: text in self.text, lambda: f"waited for {text!r} in:\n{self.text}")

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to the command alone, not to what it has started."""
        self.process.send_signal(sign)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE_S)


def wait_until(true: Callable[[], object], explain: Callable[[], str]) -> None:
    """Wait for a condition; fail with an explanation if it never holds."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise AssertionError(explain())
        time.sleep(0.02)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start commands; what is still running after the test is killed."""
    started: list[Command] = []

    def start(*words: str | Path, **variables: str) -> Command:
        log = tmp_path / f"output_{len(started)}.txt"
        command = Command([str(word) for word in words], environment | variables, log)
        started.append(command)
        return command

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


@pytest.fixture
def at_once(start: Callable[..., Command]) -> Callable[..., list[tuple[int, str]]]:
    """Run `ros2` commands side by side, as each waits long for others; exit codes and outputs."""

    def at_once(*lines: str) -> list[tuple[int, str]]:
        commands = [start("ros2", *shlex.split(line)) for line in lines]
        return [(command.end(), command.text) for command in commands]

    return at_once


@pytest.fixture
def ros2(start: Callable[..., Command]) -> Callable[..., tuple[int, str]]:
    """Run a `ros2` command to its end; its exit code and output."""

    def ros2(*words: str | Path) -> tuple[int, str]:
        command = start("ros2", *words)
        return command.end(), command.text

    return ros2


@pytest.fixture
def launch_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a launch file from the text of its list of actions."""

    def write(actions: str, name: str = "test.launch.py") -> Path:
        path = tmp_path / name
        path.write_text(
            textwrap.dedent(
                """
                import sys
                from launch import LaunchDescription
                from launch.actions import (
                    DeclareLaunchArgument, EmitEvent, ExecuteProcess, GroupAction,
                    IncludeLaunchDescription, LogInfo, OpaqueFunction, RegisterEventHandler,
                    SetEnvironmentVariable, Shutdown, TimerAction)
                from launch.conditions import (
                    IfCondition, LaunchConfigurationEquals, UnlessCondition)
                from launch.event_handlers import OnProcessExit, OnShutdown
                from launch.events import matches_action
                from launch.events.process import ShutdownProcess
                from launch.launch_description_sources import PythonLaunchDescriptionSource
                from launch.substitutions import (
                    EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution,
                    PythonExpression, TextSubstitution)
                from launch_ros.actions import (
                    Node, PushRosNamespace, SetParameter, SetParametersFromFile)
                from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
                from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

                def python(code, name="child", **keywords):
                    return ExecuteProcess(cmd=[sys.executable, "-c", code], name=name,
                                          output="screen", **keywords)

                def fail(event, context):
                    raise RuntimeError(f"{event.process_name} died with {event.returncode}")

                """
            )
            + f"def generate_launch_description():\n    return LaunchDescription([{actions}])\n"
        )
        return path

    return write


@pytest.fixture(scope="session")
def probe_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable that is a real node; see probe_node.py."""
    path = tmp_path_factory.mktemp("bin") / "probe_node"
    path.write_text(f"#!{sys.executable}\n" + (TEST / "probe_node.py").read_text())
    path.chmod(0o755)
    return path
