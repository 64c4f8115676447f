"""The `ros2` command: a subset of the original's verbs, with its spelling, output, exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence

from ros2_wheels import (
    action,
    interface,
    launch_command,
    lifecycle,
    node,
    package,
    param,
    run,
    service,
    topic,
)
from ros2_wheels.errors import CommandError
from ros2_wheels.parser import Parser

COMMANDS = (action, interface, launch_command, lifecycle, node, param, package, run, service, topic)


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets `run`, a function of the parsed arguments."""
    parser = Parser(prog="ros2", description=__doc__)
    commands = parser.add_subparsers(
        title="commands", metavar="command", required=True, parser_class=Parser
    )
    for module in COMMANDS:
        module.add_to(commands)
    return parser


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `ros2`; those of the process by default.

    Returns:
        The exit code: 0 for success; 1 after one sentence that says why not.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal without UTF-8 shows an escape
        stream.reconfigure(errors="backslashreplace")
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except CommandError as error:
        print(f"ros2: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `ros2 topic echo ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
