"""`ros2 run`: replace this process by a package's executable."""

import argparse
import os
from typing import Any

from ros2_wheels.packages import executables, find_executable


def add_to(commands: Any) -> None:
    """Add `run` to the commands."""
    parser = commands.add_parser("run", help="run an executable of a package")
    parser.add_argument("package_name")
    parser.add_argument("executable_name").completer = lambda parsed_args, **_: sorted(
        path.name for path in executables(parsed_args.package_name)
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER, help="arguments of the executable")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the executable in place of this process, so that signals and exit code are its own."""
    path = find_executable(arguments.package_name, arguments.executable_name)
    os.execv(path, [str(path), *arguments.argv])
