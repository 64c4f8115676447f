"""Actions that set what later actions read: arguments, configurations, environment."""

from collections.abc import Sequence

from launch.action import Action
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import perform


class DeclareLaunchArgument(Action):
    """An argument of the launch file, given as `name:=value` or by default.

    Args:
        name: of the argument and of the launch configuration that holds its value.
        default_value: None: the argument must be given.
        description: what `--show-args` prints for it.
        choices: the values that are allowed; None: any.
        condition: whether the argument is declared.
    """

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: Sequence[str] | None = None,
        condition: Condition | None = None,
        **unknown: object,
    ) -> None:
        super().__init__(condition=condition, **unknown)
        self.name = name
        self.default_value = default_value
        self.description = description or "no description given"
        self.choices = list(choices) if choices is not None else None
        if self.choices is not None and isinstance(default_value, str):
            self._check_choice("default value", default_value)

    def execute(self, context: LaunchContext) -> None:
        """Set the default where no value was given, and check the choices."""
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f"Required launch argument '{self.name}' (description: '{self.description}') "
                    "was not provided"
                )
            context.launch_configurations[self.name] = perform(context, self.default_value)
        if self.choices is not None:
            self._check_choice("provided value", context.launch_configurations[self.name])

    def _check_choice(self, what: str, value: str) -> None:
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(
                f"Argument '{self.name}' {what} '{value}' is not valid. "
                f"Valid options are: {self.choices}"
            )


class SetLaunchConfiguration(Action):
    """Set a launch configuration."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.launch_configurations[perform(context, self.name)] = perform(context, self.value)


class SetEnvironmentVariable(Action):
    """Set an environment variable of the processes that are started from now on."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.environment[perform(context, self.name)] = perform(context, self.value)
