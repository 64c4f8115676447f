"""What the launch files share: the graph's nodes, and what happens when one of them ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from rlt_node.process import EXIT_LOST
from rlt_node.profiles import find_profile

REAL_TIME_DELAY_TICKS = 2
RESPAWN_SECONDS = 2.0

DEVICES = {
    "gamepad": ("rlt_teleop", "gamepad", "xbox"),
    "keyboard": ("", "", "keyboard"),
    "person": ("rlt_sim", "person", "xbox"),
    "joy": ("joy", "game_controller_node", "xbox"),
    "none": ("", "", "xbox"),
}
"""What publishes joy: its package and executable, if we start it, and the profile it goes by."""

ARGUMENTS = {
    "robot": ("sim", "'sim', or the path of a robot's config file, such as config/robots/sim.yaml"),
    "task": ("ethernet", "the task: a file of config/tasks without .yaml"),
    "seed": ("0", "seed of the run: episodes, exploration and learning follow from it"),
    "full_task": (
        "false", "true: episodes start at home; the base policy drives until the handover"
    ),
    "supervisor": (
        "auto", "who labels success and hands over: the simulator (auto) or a person (human)"
    ),
    "device": (
        "gamepad",
        "supervisor:=human: what the person holds; keyboard: yours to start in a terminal; person: "
        "a scripted one; joy: ROS's game_controller_node; none: somebody else publishes joy",
    ),
    "profile": (
        "",
        "what its buttons do: a file of config/gamepads without .yaml, or a path; empty: the "
        "device's own",
    ),
    "output": ("", "folder for everything the run leaves; empty: runs/<task>-<time>-seed<seed>"),
    "resume": ("false", "true: go on with the run in the output folder; repeat its arguments"),
    "algorithm": ("rlt", "the learning algorithm"),
    "namespace": ("rlt", "ROS namespace of all nodes"),
    "log_level": ("info", "how much the nodes log"),
}
SCHEDULE = {
    "episodes": ("", "training episodes including warm-up; empty: as in rlt.yaml"),
    "warmup_episodes": (
        "", "training episodes that the base policy drives; empty: as in rlt.yaml"
    ),
    "base_eval_episodes": ("", "evaluation episodes before; empty: as in rlt.yaml"),
    "eval_episodes": ("", "evaluation episodes after; empty: as in rlt.yaml"),
}
"""Further arguments of a launch that trains."""

AGAIN = {"respawn": True, "respawn_delay": RESPAWN_SECONDS}
NOBODY = "the robot holds while nobody can take over"
UNTAUGHT = "the robot acts on with its last weights"

CHOICES = {
    "full_task": ["true", "false"],
    "resume": ["true", "false"],
    "supervisor": ["auto", "human"],
    "device": list(DEVICES),
    "algorithm": ["rlt"],
    "log_level": ["debug", "info", "warn", "error", "fatal"],
}


def arguments(*names: str, **others: tuple[str, str]) -> list[DeclareLaunchArgument]:
    """Declare launch arguments.

    Args:
        *names: Names in `ARGUMENTS`.
        **others: Further arguments: name -> (default, description).
    """
    table = {name: ARGUMENTS[name] for name in names} | others
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=description, choices=CHOICES.get(name)
        )
        for name, (default, description) in table.items()
    ]


@dataclass(frozen=True)
class Graph:
    """The nodes of one launch, with everything that they must agree upon.

    Attributes:
        context: The launch's context, with its arguments.
        share: Installed folder of config/ and models/.
        task: Content of the task's file.
        mode: "lockstep" or "real_time".
        output: Folder of the run.
    """

    context: LaunchContext
    share: Path
    task: dict[str, Any]
    mode: str
    output: Path

    @classmethod
    def of(cls, context: LaunchContext, mode: str = "lockstep") -> Graph:
        """Resolve the arguments.

        Raises:
            ValueError: If the task is unknown, or nobody could judge success.
        """
        share = Path(FindPackageShare("rlt_bringup").perform(context))
        name = argument(context, "task")
        files = {path.stem: path for path in (share / "config" / "tasks").glob("*.yaml")}
        if name not in files:
            raise ValueError(f"unknown task {name!r}; known tasks: {', '.join(sorted(files))}")
        task = yaml.safe_load(files[name].read_text())
        configurations = context.launch_configurations
        simulated = configurations.get("robot", "sim") == "sim"
        supervisor = configurations.get("supervisor")
        if not simulated and supervisor == "auto":
            raise ValueError("only the simulator can judge success: add supervisor:=human")
        if not simulated or supervisor == "human":
            mode = "real_time"
        output = configurations.get("output") or f"runs/{name}-{_occasion(configurations)}"
        return cls(context, share, task, mode, Path(output).absolute())

    @property
    def lockstep(self) -> bool:
        """Whether the simulator waits for every node."""
        return self.mode == "lockstep"

    @property
    def agreed(self) -> dict[str, Any]:
        """The parameters of `GraphSettings`."""
        return {
            "model": str(self.share / "models" / str(self.task["task"])),
            "mode": self.mode,
            "planning_delay_ticks": 0 if self.lockstep else REAL_TIME_DELAY_TICKS,
        }

    @property
    def supervised(self) -> bool:
        """Whether a person labels and may take over."""
        return self.context.launch_configurations.get("supervisor") == "human"

    @property
    def full_task(self) -> bool:
        """Whether episodes begin with an approach from home."""
        return self.context.launch_configurations.get("full_task") == "true"

    @property
    def greeting(self) -> list[Action]:
        """What the launch says first: where the run goes, and what is left to the person."""
        said: list[Action] = [LogInfo(msg=f"output: {self.output}")]
        if self.supervised and argument(self.context, "device") == "keyboard":
            space = argument(self.context, "namespace")
            elsewhere = "" if space == ARGUMENTS["namespace"][0] else (
                f" --ros-args -r __ns:=/{space}"
            )
            said.append(LogInfo(
                msg=f"in a second terminal: ros2 run rlt_teleop keyboard{elsewhere}"
            ))
        return said

    def node(
        self,
        package: str,
        name: str,
        parameters: dict[str, Any] | None = None,
        *files: Path,
        **options: Any,
    ) -> Node:
        """A node whose executable bears its name.

        Args:
            package: Its package.
            name: Its name and its executable's.
            parameters: Parameters that win over those of all files; None means the file's.
            *files: Parameter files after config/rlt.yaml and the robot's.
            **options: Further arguments of `launch_ros.actions.Node`.
        """
        return Node(
            package=package,
            executable=name,
            name=name,
            namespace=argument(self.context, "namespace"),
            parameters=[
                str(self.share / "config" / "rlt.yaml"),
                str(self._robot_file()),
                *map(str, files),
                {key: value for key, value in (parameters or {}).items() if value is not None},
            ],
            arguments=["--ros-args", "--log-level", argument(self.context, "log_level")],
            output="screen",
            **options,
        )

    def robot(self) -> dict[str, Node]:
        """The simulated robot, or nothing where there is a real one."""
        if self.context.launch_configurations.get("robot", "sim") != "sim":
            return {}
        options = {"task": self.task["task"], "mode": self.mode} | self.task["world"]
        if self.full_task:
            options["start"] = "home"
        return {"simulator": self.node("rlt_sim", "simulator", options)}

    def control(self, checkpoint: str = "") -> dict[str, Node]:
        """The nodes between cameras and robot; the slowest to start comes first."""
        return {
            "policy": self.node("rlt_policy", "policy", self.agreed | {"checkpoint": checkpoint}),
            "observer": self.node("rlt_policy", "observer", self.agreed),
            "chunk_controller": self.node(
                "rlt_policy",
                "chunk_controller",
                self.agreed | {"operator_required": True if self.supervised else None},
            ),
        }

    def person(self) -> dict[str, Node]:
        """The nodes between a person's hands and the control loop; none if nobody supervises.

        They come back when they end: until then the robot holds, and the run waits for them.

        Raises:
            FileNotFoundError: If there is no such profile.
        """
        if not self.supervised:
            return {}
        package, executable, own_profile = DEVICES[argument(self.context, "device")]
        name = argument(self.context, "profile") or own_profile
        profile = find_profile(name, self.share / "config" / "gamepads")
        nodes = {"operator": self.node("rlt_teleop", "operator", self.agreed, profile, **AGAIN)}
        if executable:
            held = {"profile": str(profile)} if executable == "person" else None
            nodes[executable] = self.node(package, executable, held, **AGAIN)
        return nodes

    def recorder(self) -> dict[str, Node]:
        """The node that keeps what happened."""
        files = self.agreed | {"output": str(self.output)}
        return {"recorder": self.node("rlt_learner", "recorder", files)}

    def learner(self, robots: Sequence[str] = ()) -> dict[str, Node]:
        """The node that turns what was recorded into weights.

        In real time it comes back when it ends, and goes on from its checkpoint.

        Args:
            robots: Namespaces of the robots; none: the robot in its own.
        """
        parameters = self.agreed | {
            "output": str(self.output),
            "seed": whole(self.context, "seed"),
            "warmup_episodes": whole(self.context, "warmup_episodes"),
            "robots": list(robots) or None,
        }
        options = {} if self.lockstep else AGAIN
        return {"learner": self.node("rlt_learner", "learner", parameters, **options)}

    def training(self) -> Node:
        """The node that leads a training run through its `SCHEDULE`."""
        return self.episodes(
            "train",
            **{name: whole(self.context, name) for name in SCHEDULE},
            resume=argument(self.context, "resume") == "true",
        )

    def led_by(self, episodes: Node, needed: Mapping[str, Node]) -> list[Action]:
        """A run: it ends with the node that leads it, and with each that it needs.

        Args:
            episodes: The node that leads it.
            needed: The other nodes, those between a person and the robot excepted.
        """
        person = self.person()
        return [
            *self.greeting,
            *required(needed),
            *expendable(person),
            *report_at_end(episodes, self.output),
            *needed.values(),
            *person.values(),
            episodes,
        ]

    def episodes(self, job: str, **parameters: Any) -> Node:
        """The node that leads the run."""
        return self.node(
            "rlt_teleop",
            "episodes",
            self.agreed
            | {
                "job": job,
                "supervisor": argument(self.context, "supervisor"),
                "task": self.task["task"],
                "output": str(self.output),
                "seed": int(argument(self.context, "seed")),
                "full_task": self.full_task,
                "approach_limit_ticks": self.task["approach_limit_ticks"],
                "time_limit_ticks": self.task["time_limit_ticks"],
                "time_limit": self.task["time_limit"],
                "privileged_pretraining": self._privileged(),
            }
            | parameters,
        )

    def _privileged(self) -> bool | None:
        """Whether the model's pretraining used simulator labels; None if it does not say."""
        path = Path(self.agreed["model"]) / "pretrain.json"
        if not path.is_file():
            return None
        said = json.loads(path.read_text()).get("privileged_pretraining")
        return None if said is None else bool(said)

    def _robot_file(self) -> Path:
        robot = self.context.launch_configurations.get("robot", "sim")
        path = self.share / "config" / "robots" / "sim.yaml" if robot == "sim" else Path(robot)
        if not path.is_file():
            raise ValueError(f"no robot config at {path}: name one like config/robots/sim.yaml")
        return path


def argument(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def whole(context: LaunchContext, name: str) -> int | None:
    """Value of a whole-number argument, None if it is empty.

    Raises:
        ValueError: If it is no whole number.
    """
    text = argument(context, name)
    try:
        return int(text) if text else None
    except ValueError as error:
        raise ValueError(f"argument {name}:={text} is no whole number") from error


def _occasion(configurations: Mapping[str, str]) -> str:
    """When and by whom a run is done: two robots that start together are two runs."""
    default, space = ARGUMENTS["namespace"][0], configurations.get("namespace", "")
    robot = "" if space in ("", default) else "-" + space.strip("/").replace("/", "-")
    return f"{time.strftime('%Y%m%d-%H%M%S')}-seed{configurations.get('seed', '0')}{robot}"


def namespaces(context: LaunchContext, name: str) -> list[str]:
    """Value of an argument that lists namespaces, separated by commas; each becomes absolute."""
    words = argument(context, name).split(",")
    return ["/" + word.strip().strip("/") for word in words if word.strip()]


def with_context(function: Callable[[LaunchContext], list[Action]]) -> OpaqueFunction:
    """Launch what a function returns once the arguments are known."""
    return OpaqueFunction(function=function)


def required(nodes: Mapping[str, Node]) -> list[RegisterEventHandler]:
    """End the launch with exit code 1 and a name when one of the nodes ends before the run."""

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def died(event: Any, context: LaunchContext) -> list[Action]:
            if context.is_shutdown:
                return _last_word(name, event.returncode)
            return [_failure(name, event.returncode)]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=died))

    return [handler(name, node) for name, node in nodes.items()]


def expendable(nodes: Mapping[str, Node], meanwhile: str = NOBODY) -> list[RegisterEventHandler]:
    """Say when one of the nodes ends before the run; it is started again, and the run goes on.

    Args:
        nodes: Nodes that respawn.
        meanwhile: What the robot does until then.
    """

    def handler(name: str, node: Node) -> RegisterEventHandler:
        def ended(event: Any, context: LaunchContext) -> list[Action]:
            if context.is_shutdown:
                return _last_word(name, event.returncode)
            return [LogInfo(msg=(
                f"{name} ended with exit code {event.returncode}: {meanwhile}; {name} starts again "
                f"in {RESPAWN_SECONDS:g} s"
            ))]

        return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))

    return [handler(name, node) for name, node in nodes.items()]


def finally_(node: Action, name: str, then: list[Action]) -> RegisterEventHandler:
    """Do `then` when the process has ended with exit code 0; else end the launch with 1."""

    def ended(event: Any, context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return _last_word(name, event.returncode)
        return [_failure(name, event.returncode)] if event.returncode else then

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))


def report_at_end(episodes: Node, output: Path) -> list[RegisterEventHandler]:
    """When the episodes are done, write the report; then end the launch with exit code 0."""
    report = ExecuteProcess(
        cmd=["ros2", "run", "rlt_learner", "report", "--output", str(output)], output="screen"
    )
    return [
        finally_(episodes, "episodes", [report]),
        finally_(report, "report", [Shutdown(reason="the run is finished")]),
    ]


def _last_word(name: str, code: int) -> list[Action]:
    """Fail the launch, although it is ending, for a node that says that something is lost."""
    return [_failure(name, code)] if code == EXIT_LOST else []


def _failure(name: str, code: int) -> OpaqueFunction:
    """An action that raises: that is how a launch gets exit code 1."""

    def fail(context: LaunchContext) -> None:
        raise RuntimeError(f"{name} ended with exit code {code}: see its last lines above")

    return OpaqueFunction(function=fail)
