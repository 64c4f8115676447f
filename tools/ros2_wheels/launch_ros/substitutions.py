"""Substitutions for ROS packages."""

from launch.launch_context import LaunchContext
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import refuse_missing
from launch.substitution import Substitution, describe, perform
from ros2_wheels.packages import find_executable, package_prefix


class FindPackagePrefix(Substitution):
    """The installation prefix of a package."""

    def __init__(self, package: SomeSubstitutionsType) -> None:
        self.package = package

    def perform(self, context: LaunchContext) -> str:
        """The path; raises CommandError where there is no such package."""
        return str(package_prefix(perform(context, self.package)))

    def describe(self) -> str:
        """The expression that makes it."""
        return f"{type(self).__name__}(pkg={describe(self.package)})"


class FindPackageShare(FindPackagePrefix):
    """The share folder of a package."""

    def perform(self, context: LaunchContext) -> str:
        """The path; raises CommandError where there is no such package."""
        package = perform(context, self.package)
        return str(package_prefix(package) / "share" / package)


class ExecutableInPackage(FindPackagePrefix):
    """The path of an executable of a package."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        super().__init__(package)
        self.executable = executable

    def perform(self, context: LaunchContext) -> str:
        """The path; raises CommandError where there is no such package or executable."""
        package, executable = perform(context, self.package), perform(context, self.executable)
        return str(find_executable(package, executable))

    def describe(self) -> str:
        """The expression that makes it."""
        return f"ExecInPkg(pkg={describe(self.package)}, exec={describe(self.executable)})"


__getattr__ = refuse_missing(__name__)
