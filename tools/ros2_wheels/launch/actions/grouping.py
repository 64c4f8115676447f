"""Actions that hold or make other actions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from launch.action import Action
from launch.actions.arguments import DeclareLaunchArgument, SetLaunchConfiguration
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_source import LaunchDescriptionSource
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import perform


class OpaqueFunction(Action):
    """A function of the context that returns actions, or None."""

    def __init__(
        self,
        *,
        function: Callable[..., Iterable[Action] | None],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self._function = function
        self._args = tuple(args)
        self._kwargs = dict(kwargs or {})

    def execute(self, context: LaunchContext) -> Iterable[Action] | None:
        """Call the function."""
        return self._function(context, *self._args, **self._kwargs)


class GroupAction(Action):
    """Actions in a scope: configurations and environment that they set are restored afterwards.

    Args:
        actions: executed in order.
        scoped: False: no scope, what the actions set stays.
        condition: whether they are executed at all.
        launch_configurations: set at the beginning of the group.
    """

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        condition: Condition | None = None,
        launch_configurations: Mapping[str, SomeSubstitutionsType] | None = None,
        **unknown: object,
    ) -> None:
        super().__init__(condition=condition, **unknown)
        self._actions = list(actions)
        self._scoped = scoped
        self._configurations = dict(launch_configurations or {})

    def execute(self, context: LaunchContext) -> list[Action]:
        """The actions, between the opening and the closing of the scope."""
        actions = [
            *(SetLaunchConfiguration(name, value) for name, value in self._configurations.items()),
            *self._actions,
        ]
        if not self._scoped:
            return actions
        return [_Scope(context.push), *actions, _Scope(context.pop)]

    def describe_sub_entities(self) -> list[Action]:
        """The actions of the group."""
        return self._actions


class _Scope(Action):
    """Opens or closes a scope."""

    def __init__(self, change: Callable[[], None]) -> None:
        super().__init__()
        self._change = change

    def execute(self, context: LaunchContext) -> None:
        """Open or close it."""
        self._change()


class IncludeLaunchDescription(Action):
    """The actions of another launch file; what they set stays, as in the original.

    Args:
        launch_description_source: the launch file, or its path.
        launch_arguments: pairs of name and value for the arguments that it declares.
        condition: whether it is included.
    """

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] = (),
        condition: Condition | None = None,
        **unknown: object,
    ) -> None:
        super().__init__(condition=condition, **unknown)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = LaunchDescriptionSource(launch_description_source)
        self._source = launch_description_source
        self._arguments = list(launch_arguments)

    def execute(self, context: LaunchContext) -> list[Action]:
        """Load the file; raises RuntimeError where a required argument is missing."""
        description = self._source.get_launch_description(context)
        given = [perform(context, name) for name, _ in self._arguments]
        for argument in description.entities:
            if (
                isinstance(argument, DeclareLaunchArgument)
                and argument.condition is None
                and argument.default_value is None
                and argument.name not in [*given, *context.launch_configurations]
            ):
                raise RuntimeError(
                    "Included launch description missing required argument "
                    f"'{argument.name}' (description: '{argument.description}'), given: {given}"
                )
        settings = [SetLaunchConfiguration(name, value) for name, value in self._arguments]
        return [*settings, *description.entities]

    def describe_sub_entities(self) -> list[Action]:
        """The actions of the file, where its path does not depend on arguments."""
        try:
            description: LaunchDescription = self._source.get_launch_description(LaunchContext())
        except Exception:
            return []
        given = {name for name, _ in self._arguments if isinstance(name, str)}
        return [
            entity
            for entity in description.entities
            if not (isinstance(entity, DeclareLaunchArgument) and entity.name in given)
        ]
