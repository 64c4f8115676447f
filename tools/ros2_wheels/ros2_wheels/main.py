"""The `ros2` command: a subset of the original's verbs, with its spelling, output, exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

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

COMMANDS = (action, interface, launch_command, lifecycle, node, param, package, run, service, topic)


class Parser(argparse.ArgumentParser):
    """An argument parser that says of a missing command where it can be found."""

    def error(self, message: str) -> NoReturn:
        """Print usage and one sentence, then exit with code 2."""
        if "invalid choice" in message:
            message += (
                ". This machine's ROS 2 comes from Python wheels, whose `ros2` is a subset; "
                "a ROS 2 Jazzy installation has the rest"
            )
        super().error(message)


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets `run`, a function of the parsed arguments."""
    parser = Parser(prog="ros2", description=__doc__)
    commands = parser.add_subparsers(
        title="commands", metavar="command", required=True, parser_class=Parser
    )
    for module in COMMANDS:
        module.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `ros2`; those of the process by default.

    Returns:
        The exit code: 0 for success, also after Ctrl-C; 1 after one sentence that says why not.
    """
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except CommandError as error:
        print(f"ros2: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # `ros2 topic echo ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
