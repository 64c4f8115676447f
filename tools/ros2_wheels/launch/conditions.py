"""Conditions on launch arguments."""

from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import refuse_missing
from launch.substitution import perform
from launch.substitutions import is_true


class IfCondition(Condition):
    """Run if the text means true."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        super().__init__(predicate=lambda context: is_true(context, predicate_expression))


class UnlessCondition(Condition):
    """Run if the text means false."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        super().__init__(predicate=lambda context: not is_true(context, predicate_expression))


class LaunchConfigurationEquals(Condition):
    """Run if a launch argument has this value; None: if it is not set."""

    def __init__(
        self, launch_configuration_name: str, expected_value: SomeSubstitutionsType | None
    ) -> None:
        def predicate(context: LaunchContext) -> bool:
            expected = None if expected_value is None else perform(context, expected_value)
            return context.launch_configurations.get(launch_configuration_name) == expected

        super().__init__(predicate=predicate)


__getattr__ = refuse_missing(__name__)
