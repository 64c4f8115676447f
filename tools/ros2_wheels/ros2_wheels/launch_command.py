"""`ros2 launch`: run a launch file of a package, or one at a path."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ros2_wheels.errors import CommandError
from ros2_wheels.packages import package_prefix

if TYPE_CHECKING:
    from launch import LaunchDescriptionSource
    from launch.actions import DeclareLaunchArgument


def add_to(commands: Any) -> None:
    """Add `launch` to the commands."""
    parser = commands.add_parser("launch", help="run a launch file")
    parser.add_argument("package_name", help="a package, or the path of a launch file")
    parser.add_argument("launch_file_name", nargs="?")
    parser.add_argument("launch_arguments", nargs="*", metavar="name:=value")
    parser.add_argument(
        "-s",
        "--show-args",
        "--show-arguments",
        action="store_true",
        help="show the arguments of the launch file, and exit",
    )
    parser.add_argument("-d", "--debug", action="store_true", help="show tracebacks")
    parser.add_argument(
        "-n",
        "--noninteractive",
        action="store_true",
        help="accepted as in the original; nothing here asks questions",
    )
    parser.set_defaults(run=launch)


def launch(arguments: argparse.Namespace) -> int:
    """Run the launch file, or show its arguments."""
    path, words = find_launch_file(arguments)
    if arguments.show_args:
        return show_arguments(path)
    return run_file(path, parse_assignments(words), debug=arguments.debug)


def run_file(path: Path, assignments: list[tuple[str, str]], debug: bool) -> int:
    """Run a launch file with these arguments; returns the exit code of the launch."""
    from launch import LaunchDescription, LaunchDescriptionSource, LaunchService
    from launch.actions import IncludeLaunchDescription, LogInfo

    source = LaunchDescriptionSource(str(path))
    service = LaunchService(debug=debug)
    warnings = [
        LogInfo(msg=f"argument '{name}' is not declared by {path.name}; see --show-args")
        for name in _undeclared(source, assignments)
    ]
    include = IncludeLaunchDescription(source, launch_arguments=assignments)
    service.include_launch_description(LaunchDescription([*warnings, include]))
    return service.run()


def _undeclared(source: "LaunchDescriptionSource", assignments: list[tuple[str, str]]) -> list[str]:
    try:
        declared = {argument.name for argument in _declared_arguments(source)}
    except Exception:  # the launch meets and reports it itself
        return []
    return [name for name, _ in assignments if name not in declared]


def show_arguments(path: Path) -> int:
    """Print the arguments of a launch file, those of the files that it includes as well."""
    from launch import LaunchDescriptionSource
    from launch.substitution import describe

    try:
        declared = _declared_arguments(LaunchDescriptionSource(str(path)))
    except Exception as error:
        raise CommandError(f"cannot load {path}: {error}") from error
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in declared:
        print(f"\n    '{argument.name}':")
        choices = f". Valid choices are: {argument.choices}" if argument.choices else ""
        print(f"        {argument.description}{choices}")
        if argument.default_value is not None:
            print(f"        (default: {describe(argument.default_value)})")
    if not declared:
        print("\n    No arguments.")
    return 0


def _declared_arguments(source: "LaunchDescriptionSource") -> "list[DeclareLaunchArgument]":
    from launch import LaunchContext

    return source.get_launch_description(LaunchContext()).get_launch_arguments()


def find_launch_file(arguments: argparse.Namespace) -> tuple[Path, list[str]]:
    """The requested launch file, and the words that assign launch arguments.

    Raises:
        CommandError: there is no such file, or more than one.
    """
    words = [word for word in (arguments.launch_file_name,) if word] + arguments.launch_arguments
    path = Path(arguments.package_name)
    if path.is_file():
        return path, words
    if not words or ":=" in words[0]:
        raise CommandError(
            f"no file '{path}'; give a package and its launch file, or the path of one"
        )
    share = package_prefix(arguments.package_name) / "share" / arguments.package_name
    found = sorted({file.resolve() for file in share.rglob(words[0])})
    if not found:
        known = ", ".join(sorted(file.name for file in share.rglob("*.launch.py"))) or "none"
        raise CommandError(
            f"package '{arguments.package_name}' has no launch file '{words[0]}'; it has: {known}"
        )
    if len(found) > 1:
        raise CommandError(f"'{words[0]}' is ambiguous: {', '.join(map(str, found))}")
    return found[0], words[1:]


def parse_assignments(words: list[str]) -> list[tuple[str, str]]:
    """Split `name:=value` words.

    Raises:
        CommandError: a word has another form.
    """
    pairs = []
    for word in words:
        name, assigned, value = word.partition(":=")
        if not assigned or not name:
            raise CommandError(f"malformed launch argument '{word}', expected name:=value")
        pairs.append((name, value))
    return pairs
