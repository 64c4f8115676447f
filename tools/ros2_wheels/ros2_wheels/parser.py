"""The parsers of the commands: what they share, and their message about what is missing here."""

import argparse
from typing import Any, NoReturn

SUBSET = (
    "; this machine's ROS 2 comes from Python wheels, whose `ros2` is a subset: "
    "a ROS 2 Jazzy installation has the rest"
)


class Parser(argparse.ArgumentParser):
    """An argument parser that says where a missing command or option can be found."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 after one sentence, and after the usage if that helps."""
        if "invalid choice" in message or "unrecognized arguments" in message:
            self.exit(2, f"{self.prog}: {message}{SUBSET}\n")
        super().error(message)


class GraphParser(Parser):
    """A parser of a verb that looks at the graph; it accepts options that are typed by habit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_argument(
            "--no-daemon", action="store_true", help="no effect here: there is no daemon"
        )
        self.add_argument(
            "--spin-time",
            type=float,
            metavar="S",
            help="accepted as in the original; discovery ends here when the graph is quiet",
        )


def add_verbs(commands: Any, name: str, help: str, parser_class: type[Parser] = GraphParser) -> Any:
    """Add a command; returns what its verbs are added to."""
    return commands.add_parser(name, help=help).add_subparsers(
        title="verbs", metavar="verb", required=True, parser_class=parser_class
    )
