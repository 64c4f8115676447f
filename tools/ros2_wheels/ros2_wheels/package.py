"""`ros2 pkg`: the packages of the sourced workspaces."""

import argparse
from typing import Any

from ros2_wheels.packages import executables, package_names, package_prefix
from ros2_wheels.parser import Parser, add_verbs


def add_to(commands: Any) -> None:
    """Add `pkg` and its verbs to the commands."""
    verbs = add_verbs(commands, "pkg", help="packages", parser_class=Parser)
    parser = verbs.add_parser("list", help="names of all packages")
    parser.set_defaults(run=list_packages)

    parser = verbs.add_parser("prefix", help="where a package is installed")
    parser.add_argument("package_name")
    parser.add_argument("--share", action="store_true", help="show its share folder")
    parser.set_defaults(run=prefix)

    parser = verbs.add_parser("executables", help="executables of one package, or of all")
    parser.add_argument("package_name", nargs="?")
    parser.set_defaults(run=list_executables)


def list_packages(_: argparse.Namespace) -> None:
    """Print every package's name."""
    print(*package_names(), sep="\n")


def prefix(arguments: argparse.Namespace) -> None:
    """Print a package's prefix, or its share folder."""
    path = package_prefix(arguments.package_name)
    print(path / "share" / arguments.package_name if arguments.share else path)


def list_executables(arguments: argparse.Namespace) -> None:
    """Print `package executable` lines."""
    names = [arguments.package_name] if arguments.package_name else package_names()
    for name in names:
        for path in executables(name):
            print(name, path.name)
