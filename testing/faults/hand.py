"""A simulated hand on a gamepad: what it holds, 100 times a second, as sensor_msgs/Joy."""

from __future__ import annotations

import threading
import time

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Joy
from steady import urgent

from rlt_node import qos

from .bench import ROOT

PROFILE = ROOT / "config" / "gamepads" / "xbox.yaml"
AXES, BUTTONS = 6, 21
STICK_X = 1  # forward
SUCCESS, FAILURE, TAKEOVER = 0, 1, 10
PERIOD_S = 0.01


class Hand:
    """Publishes `joy` until it is closed.

    Attributes:
        held: Buttons that are down.
        stick: Deflection of the stick that moves along x, -1 to 1; a live hand trembles.
        trembles: Whether it does; a dead link repeats the last message.
        gone: Whether nothing is published at all.
    """

    def __init__(self, node: Node) -> None:
        self.held: set[int] = set()
        self.stick = 0.0
        self.trembles = True
        self.gone = False
        self._rng = np.random.default_rng(1)
        self._last = Joy()
        self._publisher = node.create_publisher(Joy, "joy", qos.DEVICE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hand", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop publishing."""
        self._closing.set()
        self._thread.join(1.0)

    def press(self, *buttons: int) -> float:
        """Press buttons; return the monotonic time at which the device reports it."""
        self.held |= set(buttons)
        self.show()
        return time.monotonic()

    def release(self, *buttons: int) -> float:
        """Release buttons; return the monotonic time at which the device reports it."""
        self.held -= set(buttons)
        self.show()
        return time.monotonic()

    def click(self, *buttons: int, seconds: float = 0.15) -> float:
        """Press and release buttons; return the monotonic time of the press."""
        pressed = self.press(*buttons)
        time.sleep(seconds)
        self.release(*buttons)
        return pressed

    def show(self) -> None:
        """Publish what the hand holds now."""
        if self.trembles:
            axes = np.zeros(AXES, np.float32)
            if self.stick:
                axes[STICK_X] = self.stick + 0.01 * self._rng.standard_normal()
            buttons = [int(index in self.held) for index in range(BUTTONS)]
            self._last = Joy(axes=axes.tolist(), buttons=buttons)
        if not self.gone:
            self._publisher.publish(self._last)

    def _run(self) -> None:
        urgent()
        while not self._closing.wait(PERIOD_S):
            self.show()
