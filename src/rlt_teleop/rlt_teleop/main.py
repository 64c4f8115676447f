"""Entry points of the package's nodes: signals are handled before the heavy imports begin."""

import sys

from rlt_node.process import run
from rlt_teleop.command_line import ros_arguments


def gamepad() -> None:
    """Run the gamepad node."""
    sys.argv = ros_arguments(sys.argv)
    run("rlt_teleop.gamepad_node:GamepadNode")


def keyboard() -> None:
    """Run the keyboard node."""
    sys.argv = ros_arguments(sys.argv)
    run("rlt_teleop.keyboard_node:KeyboardNode")


def operator() -> None:
    """Run the operator node, or the check of a device: `--check`, with `--profile xbox`."""
    check = "--check" in sys.argv
    sys.argv = ros_arguments(sys.argv, "--check", "--profile")
    run("rlt_teleop.operator_node:" + ("OperatorCheck" if check else "OperatorNode"))
