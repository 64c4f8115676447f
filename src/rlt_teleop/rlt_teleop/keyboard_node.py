"""Publishes a terminal's keys as sensor_msgs/Joy, with a status line."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from typing import Any

from rcl_interfaces.msg import Log
from sensor_msgs.msg import Joy

from rlt_core.records import EpisodeState
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import episode_from_msg
from rlt_node.node import FailFastNode
from rlt_node.parameters import refuse_unknown
from rlt_node.process import NodeError
from rlt_teleop.key_bindings import HELP, Keys
from rlt_teleop.keystrokes import BRACKETED, Keystrokes
from rlt_teleop.operator_messages import is_correction, status_line

RATE_HZ = 50.0
NO_KEY = b"\0"


class KeyboardNode(FailFastNode):
    """Publishes what the keys mean; the operator's profile `keyboard` maps it."""

    def __init__(self) -> None:
        """Take over the terminal.

        Raises:
            NodeError: If stdin is not a terminal.
        """
        super().__init__("keyboard")
        refuse_unknown(self)
        if not sys.stdin.isatty():
            raise NodeError(
                "stdin is not a terminal: start the keyboard by hand in a terminal of its own, "
                "not from a launch file or through a pipe"
            )
        self._keys, self._keystrokes = Keys(), Keystrokes()
        self._state: EpisodeState | None = None
        self._answer = ""
        self._shown = ""
        self._operator = self.get_logger().name.removesuffix("keyboard") + "operator"
        self._publisher = self.create_publisher(Joy, "joy", qos.DEVICE)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.LATEST)
        self.create_subscription(Log, "/rosout", self._on_log, qos.BARRIER)
        self.create_timer(1.0 / RATE_HZ, self._step)
        print(BRACKETED[0] + HELP, flush=True)
        self._terminal = termios.tcgetattr(sys.stdin)
        self._take_terminal()

    def close(self) -> None:
        """Restore the terminal."""
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
        print(BRACKETED[1], flush=True)

    def _take_terminal(self) -> None:
        """Read keys at once and without echo; Ctrl-C still works, Ctrl-Z does not.

        What was typed before is discarded: it was not meant for this node.
        """
        tty.setcbreak(sys.stdin, termios.TCSAFLUSH)
        attributes: list[Any] = termios.tcgetattr(sys.stdin)
        attributes[6][termios.VSUSP] = NO_KEY
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, attributes)

    def _on_episode(self, message: EpisodeMessage) -> None:
        state = episode_from_msg(message)
        if not is_correction(self._state, state):
            self._state = state

    def _on_log(self, message: Log) -> None:
        """Show what the operator logs: answers to requests, takeovers, faults."""
        if message.name == self._operator:
            self._answer = message.msg

    def _step(self) -> None:
        now = time.monotonic()
        for key in self._keystrokes.read(self._typed(), now):
            if key == "?":
                self._write(HELP + "\n")
            elif not self._keys.press(key, now):
                self._answer = f"{key!r} is not bound; ? shows the keys"
        message = Joy(axes=self._keys.axes(now), buttons=self._keys.buttons(now))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = "keyboard"
        self._publisher.publish(message)
        width = shutil.get_terminal_size().columns
        line = status_line(self._keys.takeover, self._state, self._answer, width)
        if line != self._shown:
            self._write(line)
            self._shown = line

    def _typed(self) -> bytes:
        """What the terminal has sent since the last call.

        Raises:
            NodeError: If the terminal is gone.
        """
        if not select.select([sys.stdin], [], [], 0.0)[0]:
            return b""
        typed = os.read(sys.stdin.fileno(), 1024)
        if not typed:
            raise NodeError("the terminal is gone")
        return typed

    def _write(self, text: str) -> None:
        """Replace the status line."""
        print(f"\r\x1b[K{text}", end="", flush=True)
