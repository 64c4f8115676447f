"""Actions for ROS: nodes, namespaces, parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from launch.action import Action
from launch.actions import ExecuteProcess
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import refuse_missing
from launch.substitution import perform
from launch_ros.parameter_descriptions import (
    ParameterFile,
    evaluate_parameters,
    write_parameters,
)
from launch_ros.substitutions import ExecutableInPackage

NAMESPACE = "ros_namespace"  # launch configurations, with the names of the original
PARAMETERS = "global_params"


class Node(ExecuteProcess):
    """Run a ROS node.

    Args:
        executable: its file name in the package, or its path where no package is given.
        package: the package that installs it.
        name: of the node; default: what its program sets.
        namespace: of the node, relative to what PushRosNamespace has set.
        exec_name: of the process; default: the executable's.
        parameters: dictionaries, ParameterFiles and paths of parameter files; later ones win.
        remappings: pairs of names, from and to.
        ros_arguments: further arguments for ROS.
        arguments: further arguments for the program.
        keywords: those of ExecuteProcess.
    """

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(cmd=[executable], name=exec_name, **keywords)
        self._executable = executable
        self._package = package
        self._node_name = name
        self._namespace = namespace
        self._parameters = list(parameters or [])
        self._remappings = list(remappings or [])
        self._ros_arguments = list(ros_arguments or [])
        self._arguments = list(arguments or [])

    def command(self, context: LaunchContext) -> list[str]:
        """The program, its arguments, and the ROS arguments, in this context."""
        namespace = self._expand_namespace(context)
        name = None if self._node_name is None else perform(context, self._node_name)
        ros_arguments = [perform(context, word) for word in self._ros_arguments]
        if name is not None:
            ros_arguments += ["-r", f"__node:={name}"]
        if namespace is not None:
            ros_arguments += ["-r", f"__ns:={namespace}"]
        for given in context.launch_configurations.get(PARAMETERS, []):
            if isinstance(given, tuple):
                ros_arguments += ["-p", f"{given[0]}:={_to_yaml(given[1])}"]
            else:
                ros_arguments += ["--params-file", _file_of(context, given, namespace, name)]
        for parameters in self._parameters:
            ros_arguments += ["--params-file", _file_of(context, parameters, namespace, name)]
        for old, new in self._remappings:
            ros_arguments += ["-r", f"{perform(context, old)}:={perform(context, new)}"]
        words = [perform(context, word) for word in self._arguments]
        return [self._path(context), *words, "--ros-args", *ros_arguments]

    def _path(self, context: LaunchContext) -> str:
        executable = perform(context, self._executable)
        if self._package is None:
            return executable
        return ExecutableInPackage(executable, self._package).perform(context)

    def _expand_namespace(self, context: LaunchContext) -> str | None:
        base = context.launch_configurations.get(NAMESPACE)
        own = None if self._namespace is None else perform(context, self._namespace)
        return base if own is None else join_namespaces(base, own)


class PushRosNamespace(Action):
    """Put the nodes of this scope into a namespace, relative to the one that is already set."""

    def __init__(
        self, namespace: SomeSubstitutionsType, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self.namespace = namespace

    def execute(self, context: LaunchContext) -> None:
        """Set the namespace."""
        base = context.launch_configurations.get(NAMESPACE)
        own = perform(context, self.namespace)
        context.launch_configurations[NAMESPACE] = join_namespaces(base, own)


PushROSNamespace = PushRosNamespace


class SetParameter(Action):
    """Set a parameter of every node of this scope; a node's own parameters win."""

    def __init__(
        self, name: SomeSubstitutionsType, value: Any, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        ((name, value),) = evaluate_parameters(context, {self.name: self.value}).items()
        known = context.launch_configurations.get(PARAMETERS, [])
        context.launch_configurations[PARAMETERS] = [*known, (name, value)]


class SetParametersFromFile(Action):
    """Give a file of parameters to every node of this scope; a node's own parameters win."""

    def __init__(
        self, filename: SomeSubstitutionsType, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self.filename = filename

    def execute(self, context: LaunchContext) -> None:
        """Add it to those that are set already."""
        known = context.launch_configurations.get(PARAMETERS, [])
        context.launch_configurations[PARAMETERS] = [*known, perform(context, self.filename)]


def join_namespaces(base: str | None, own: str) -> str:
    """An absolute namespace: `own` where it is absolute, else below `base`."""
    if own.startswith("/"):
        return own if own == "/" else own.rstrip("/")
    return f"/{(base or '').strip('/')}/{own.strip('/')}".replace("//", "/").rstrip("/") or "/"


def _file_of(
    context: LaunchContext, parameters: Any, namespace: str | None, name: str | None
) -> str:
    """The file of one entry of a node's parameters; a dictionary is written to one."""
    if isinstance(parameters, ParameterFile):
        return parameters.evaluate(context)
    if not isinstance(parameters, Mapping):
        return ParameterFile(parameters).evaluate(context)
    known = namespace is not None and name is not None
    node = f"{namespace.rstrip('/')}/{name}" if known else "/**"
    values = evaluate_parameters(context, parameters)
    return write_parameters(context, yaml.safe_dump({node: {"ros__parameters": values}}))


def _to_yaml(value: Any) -> str:
    """One line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


__getattr__ = refuse_missing(__name__)
