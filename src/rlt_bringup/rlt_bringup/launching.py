"""What the launch files share: the nodes of a graph, and their run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from typing import Any

from launch import LaunchContext
from launch.action import Action
from launch.actions import EmitEvent, ExecuteProcess, LogInfo, OpaqueFunction, TimerAction
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

from rlt_bringup.arguments import DEFAULT_NAMESPACE, DEVICES, SCHEDULE, argument, flag, whole
from rlt_bringup.outer_launch import namespace_here, overruled
from rlt_bringup.process_exits import (
    RESPAWN_SECONDS,
    WITHOUT_LEARNER,
    WITHOUT_OPERATOR,
    Run,
    on_success,
    optional_nodes,
    raising,
    required,
)
from rlt_core.episodes.task_file import Task, read_task
from rlt_core.files import named_file, path_of
from rlt_core.log.run_files import (
    MANIFEST,
    PREVIOUS,
    require_beginning,
    require_checkpoint,
    require_folder,
)
from rlt_node import launch_watch
from rlt_node.graph import GraphSettings, RobotSettings
from rlt_node.name_claims import claim_graph, full_name
from rlt_node.parameter_files import FILE_FLAG, sections
from rlt_node.profiles import find_profile

REAL_TIME_DELAY_TICKS = 2
CLAIMS: list[socket] = []
"""What this launch has claimed, until it ends."""

RESPAWN = {"respawn": True, "respawn_delay": RESPAWN_SECONDS}


class GraphNode(Node):
    """A node that ends with its launch, and that a launch claims before it starts anything.

    Attributes:
        full_name: Its name with its namespace.
    """

    def __init__(self, name: str, namespace: str, **options: Any) -> None:
        """As in launch_ros, with name and namespace known in advance."""
        super().__init__(
            name=name, namespace=namespace, additional_env=following_this_launch(), **options
        )
        self.full_name = full_name(name, namespace)


@dataclass(frozen=True)
class Graph:
    """The nodes of one launch file, with the settings that they share.

    Everything that they need is checked while they are made, so that a launch that lacks something
    ends before its first process starts.

    Attributes:
        context: The launch's context, with its arguments.
        share: Installed folder of config/ and models/.
        task: The task.
        model: Folder of the base policy and RL token.
        own_files: The user's own files of parameters.
        mode: "lockstep" or "real_time".
        output: Folder of the run.
        namespace: Namespace of the nodes, absolute.
        robot_file: The robot's file.
        simulated: Whether the robot is the simulated one.
        supervised: Whether a person labels and may take over.
        run: Whether the run is over.
        said: Notes for the user on the nodes that were made.
    """

    context: LaunchContext
    share: Path
    task: Task
    model: Path
    own_files: tuple[Path, ...]
    mode: str
    output: Path
    namespace: str
    robot_file: Path
    simulated: bool
    supervised: bool
    run: Run = field(default_factory=Run)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        context: LaunchContext,
        mode: str = "lockstep",
        robot: str | None = None,
        supervisor: str | None = None,
    ) -> Graph:
        """Resolve the arguments.

        Args:
            context: The launch's context.
            mode: "lockstep" or "real_time", unless robot or supervisor decide.
            robot: The robot, if the launch file has no such argument: a launch file that includes
                it, or was included before it, may have one.
            supervisor: Likewise the supervisor; empty: none is needed.

        Raises:
            FileNotFoundError: If there is no such task.
            ValueError: If nobody can judge success, the namespace is invalid, or a file cannot be
                read.
        """
        share = Path(FindPackageShare("rlt_bringup").perform(context))
        task_file = named_file("task", argument(context, "task"), share / "config" / "tasks")
        task = read_task(task_file)
        configurations = context.launch_configurations
        robot = robot or configurations.get("robot", "sim")
        supervisor = configurations.get("supervisor", "") if supervisor is None else supervisor
        simulated = robot == "sim"
        if not simulated and supervisor == "auto":
            raise ValueError("only the simulator can judge success: add supervisor:=human")
        if not simulated or supervisor == "human":
            mode = "real_time"
        namespace = namespace_here(context, argument(context, "namespace"))
        output = configurations.get("output") or (
            f"runs/{task_file.stem}-{_occasion(configurations, namespace)}"
        )
        robot_file = named_file("robot", robot, share / "config" / "robots")
        model = configurations.get("model", "")
        own = configurations.get("params_file", "")
        own_files = (path_of(own).absolute(),) if own else ()
        for file in own_files:
            sections(file)
        return cls(
            context, share, task,
            path_of(model).absolute() if model else share / "models" / task.task,
            own_files, mode, path_of(output).absolute(), namespace, robot_file, simulated,
            supervisor == "human",
        )

    @property
    def lockstep(self) -> bool:
        """Whether the simulator waits for every node."""
        return self.mode == "lockstep"

    @property
    def agreed(self) -> dict[str, Any]:
        """The parameters of `GraphSettings`."""
        return {
            "model": str(self.model),
            "mode": self.mode,
            "planning_delay_ticks": 0 if self.lockstep else REAL_TIME_DELAY_TICKS,
        }

    @property
    def driven(self) -> dict[str, Any]:
        """The parameters of `RobotSettings`."""
        return {"robot": str(self.robot_file)}

    def require_model(self) -> None:
        """Check that the model exists and fits task and robot, before a node loads it.

        Raises:
            OSError: If there is no model.
            ValueError: If its contract cannot be read or does not fit, its base policy follows
                another instruction than the task's, or the robot's file is invalid.
        """
        contract = GraphSettings(**self.agreed).contract()
        RobotSettings(**self.driven).read(contract)
        if self.task.instruction not in ("", contract.instruction):
            raise ValueError(
                f"the task's instruction is {self.task.instruction!r}, but the base policy in "
                f"{self.model} follows {contract.instruction!r}: use one instruction for both"
            )

    @property
    def full_task(self) -> bool:
        """Whether episodes begin with an approach from home."""
        return flag(self.context, "full_task")

    @property
    def greeting(self) -> list[Action]:
        """The first log lines of a run; read it once the nodes are made."""
        return [LogInfo(msg=f"output: {self.output}"), *self.notes]

    @property
    def notes(self) -> list[Action]:
        """Notes on the nodes that were made, and what the person has to start."""
        said = list(dict.fromkeys(self.said))
        if self.supervised and argument(self.context, "device") == "keyboard":
            elsewhere = "" if self.namespace == DEFAULT_NAMESPACE else (
                f" --ros-args -r __ns:={self.namespace}"
            )
            said.append(f"in a second terminal: ros2 run rlt_teleop keyboard{elsewhere}")
        return [LogInfo(msg=sentence) for sentence in said]

    def node(
        self,
        package: str,
        name: str,
        parameters: dict[str, Any] | None = None,
        *files: Path,
        **options: Any,
    ) -> Node:
        """A node whose executable has its name.

        Args:
            package: Its package.
            name: Its name and its executable's.
            parameters: Parameters that override all others; None means the file's.
            *files: Parameter files after config/rlt.yaml; the user's own come last.
            **options: Further arguments of `launch_ros.actions.Node`.

        Raises:
            ValueError: If it is not installed, or a file of parameters cannot be read.
        """
        executable_of(self.context, package, name)
        decided = {key: value for key, value in (parameters or {}).items() if value is not None}
        full = full_name(name, self.namespace)
        self.said.extend(overruled(self.context, full, decided, self.own_files))
        return GraphNode(
            name,
            self.namespace,
            package=package,
            executable=name,
            # As arguments of the program, the files come before what SetParameter and
            # SetParametersFromFile set around this launch file, which overrides them.
            ros_arguments=[
                "--log-level", argument(self.context, "log_level"),
                *(word for file in self.defaults(*files) for word in (FILE_FLAG, str(file))),
            ],
            parameters=[{key: _as_it_stands(value) for key, value in decided.items()}] if decided
            else None,
            output="screen",
            **options,
        )

    def defaults(self, *files: Path) -> list[Path]:
        """The files of a node's parameters; a later one wins.

        Args:
            *files: Those of this node only.
        """
        return [self.share / "config" / "rlt.yaml", *files, *self.own_files]

    def robot(self) -> dict[str, Node]:
        """The simulated robot, or nothing where there is a real one."""
        if not self.simulated:
            return {}
        options = {"task": self.task.task, "mode": self.mode} | self.task.world
        if self.full_task:
            options["start"] = "home"
        return {"simulator": self.node("rlt_sim", "simulator", options)}

    def control(self, checkpoint: str = "") -> dict[str, Node]:
        """The nodes between cameras and robot; the slowest to start comes first.

        Args:
            checkpoint: Folder of the checkpoint whose actor acts; empty: the learner's.

        Raises:
            OSError: If there is no model, or no such checkpoint.
            ValueError: If the model does not fit.
        """
        self.require_model()
        folder = str(path_of(checkpoint).absolute()) if checkpoint else ""
        if folder:
            require_checkpoint(Path(folder), MANIFEST, PREVIOUS)
        return {
            "policy": self.node("rlt_policy", "policy", self.agreed | {"checkpoint": folder}),
            "observer": self.node("rlt_policy", "observer", self.agreed | self.driven),
            "chunk_controller": self.node(
                "rlt_policy",
                "chunk_controller",
                self.agreed
                | self.driven
                | {"operator_required": True if self.supervised else None},
            ),
        }

    def person(self) -> dict[str, Node]:
        """The nodes between a person and the control loop; none if nobody supervises.

        They respawn when they end: until then the robot holds, and the run waits.

        Raises:
            OSError: If there is no model, or no such profile.
            ValueError: If the model does not fit.
        """
        if not self.supervised:
            return {}
        self.require_model()
        package, executable, own_profile = DEVICES[argument(self.context, "device")]
        name = argument(self.context, "profile") or own_profile
        profile = find_profile(name, self.share / "config" / "gamepads")
        sections(profile)
        nodes = {"operator": self.node("rlt_teleop", "operator", self.agreed, profile, **RESPAWN)}
        if executable:
            held = {"profile": str(profile)} if executable == "person" else None
            nodes[executable] = self.node(package, executable, held, **RESPAWN)
        return nodes

    def recorder(self) -> dict[str, Node]:
        """The node that records the run."""
        files = self.agreed | {"output": str(self.output)}
        return {"recorder": self.node("rlt_learner", "recorder", files)}

    def learner(self, robots: Sequence[str] = ()) -> dict[str, Node]:
        """The node that learns weights from what was recorded.

        In real time it respawns when it ends, and resumes from its checkpoint.

        Args:
            robots: Namespaces of the robots; empty: the robot in its own.

        Raises:
            OSError: If there is no model, or the output folder cannot be written.
            ValueError: If the model does not fit.
        """
        self.require_model()
        require_folder(self.output)
        parameters = self.agreed | self.driven | {
            "output": str(self.output),
            "seed": whole(self.context, "seed"),
            "warmup_episodes": whole(self.context, "warmup_episodes"),
            "robots": list(robots) or None,
        }
        options = {} if self.lockstep else RESPAWN
        return {"learner": self.node("rlt_learner", "learner", parameters, **options)}

    def training(
        self, needed: Mapping[str, Node], learner: Mapping[str, Node] | None = None
    ) -> list[Action]:
        """A training run through its `SCHEDULE`; see `run_until_done`."""
        resume = flag(self.context, "resume")
        schedule = {name: whole(self.context, name) for name in SCHEDULE}
        episodes = self.episodes("train", **schedule, resume=resume)
        return self.run_until_done(episodes, needed, learner, resume)

    def run_until_done(
        self,
        episodes: Node,
        needed: Mapping[str, Node],
        learner: Mapping[str, Node] | None = None,
        resume: bool = False,
    ) -> list[Action]:
        """A run: it ends when the episodes node or any node that it needs ends.

        It ends only its own nodes; a launch that has others continues with them.

        Args:
            episodes: The episodes node.
            needed: The other nodes, except those between a person and the robot.
            learner: A learner that may die: the robot continues meanwhile.
            resume: Whether to resume the run in the output folder.

        Raises:
            OSError: If the run cannot begin in its output folder, or resume there.
            ValueError: If the folder's run is damaged, or a command is not installed.
        """
        require_beginning(self.output, resume)
        person, learner = self.person(), learner or {}
        others = {**learner, **needed, **person}
        return [
            *self.greeting,
            *required(needed, self.run),
            *optional_nodes(learner, WITHOUT_LEARNER, self.run),
            *optional_nodes(person, WITHOUT_OPERATOR, self.run),
            *self._conclusion(episodes, self._end(others.values())),
            *others.values(),
            episodes,
        ]

    def _conclusion(self, episodes: Node, end: Action) -> list[Action]:
        """What follows the run's last episode: its report, where reports are installed."""
        command = ["rlt_learner", "report", "--output", str(self.output)]
        if find_spec("rlt_report") is None:
            note = (
                "no report is written, since package rlt_report is not installed here; on a "
                f"computer that has it: ros2 run {' '.join(command)}"
            )
            return [on_success(episodes, "episodes", [LogInfo(msg=note), end], self.run)]
        report = ExecuteProcess(
            cmd=[executable_of(self.context, *command[:2]), *command[2:]],
            output="screen",
            additional_env=following_this_launch(),
        )
        return [
            on_success(episodes, "episodes", [report], self.run),
            on_success(report, "report", [end], self.run),
        ]

    def _end(self, nodes: Iterable[Node]) -> OpaqueFunction:
        """An action that ends a run and its nodes."""

        def end(context: LaunchContext) -> list[Action]:
            self.run.over = True
            ends = [ShutdownProcess(process_matcher=matches_action(node)) for node in nodes]
            return [LogInfo(msg="the run is finished"), *(EmitEvent(event=end) for end in ends)]

        return OpaqueFunction(function=end)

    def episodes(self, job: str, **parameters: Any) -> Node:
        """The node that runs the schedule."""
        return self.node(
            "rlt_episodes",
            "episodes",
            self.agreed
            | {
                "job": job,
                "supervisor": "human" if self.supervised else "auto",
                "task": self.task.task,
                "output": str(self.output),
                "seed": whole(self.context, "seed"),
                "full_task": self.full_task,
                "approach_limit_ticks": self.task.approach_limit_ticks,
                "time_limit_ticks": self.task.time_limit_ticks,
                "time_limit": self.task.time_limit,
                "privileged_pretraining": self._privileged(),
            }
            | parameters,
        )

    def _privileged(self) -> bool | None:
        """Whether the model's pretraining used simulator labels; None if it is unknown."""
        path = self.model / "pretrain.json"
        if not path.is_file():
            return None
        said = json.loads(path.read_text(encoding="utf-8")).get("privileged_pretraining")
        return None if said is None else bool(said)


def executable_of(context: LaunchContext, package: str, name: str) -> str:
    """Path of an executable.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        return str(ExecutableInPackage(package=package, executable=name).perform(context))
    except Exception as error:  # launch and ament raise their own for each missing thing
        raise ValueError(
            f"{name} of package {package} is not installed: install the package, or source the "
            "workspace that has it"
        ) from error


def _as_it_stands(value: Any) -> Any:
    """A parameter's value; launch_ros must not read its text as YAML."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def _occasion(configurations: Mapping[str, str], namespace: str) -> str:
    """Time, seed and robot of a run: two robots that start together are two runs."""
    robot = "" if namespace == DEFAULT_NAMESPACE else namespace.rstrip("/").replace("/", "-")
    return f"{time.strftime('%Y%m%d-%H%M%S')}-seed{configurations.get('seed') or '0'}{robot}"


def with_context(function: Callable[[LaunchContext], list[Action]]) -> OpaqueFunction:
    """Launch what a function returns once the arguments are known, unless some of it already runs.

    An exception is raised a moment later, when all earlier actions are under way: a launch that
    ends during them would not know the processes that they have started.
    """

    def attempt(context: LaunchContext) -> list[Action]:
        try:
            actions = function(context)
            nodes = [action.full_name for action in actions if isinstance(action, GraphNode)]
            CLAIMS.extend(claim_graph(nodes))
            return actions
        except Exception as error:
            return [TimerAction(period=0.0, actions=[raising(error)])]

    return OpaqueFunction(function=attempt)


def following_this_launch() -> dict[str, str]:
    """The environment variable of a process that must end with this launch."""
    return {launch_watch.VARIABLE: launch_watch.passport()}
