"""Who holds the robot: hold-to-run takeover by a person, fail-safe when the person goes silent."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Grip(Enum):
    """Who may move the robot."""

    POLICY = "policy"
    HUMAN = "human"
    LATCHED = "latched"
    REARMED = "rearmed"


class Takeover:
    """The state of the takeover button.

    POLICY goes to HUMAN when the button is pressed and back when it is released. A person who
    goes silent in takeover latches a hold, and so does a button that is down before it was ever
    seen up. A latch ends in HUMAN only, by a release (REARMED) and a new press: never in the
    policy, which somebody wanted off.
    """

    def __init__(self) -> None:
        self.grip = Grip.POLICY
        self.increment: NDArray[np.float64] | None = None
        self.received = -np.inf
        self._seen_released = False

    def update(
        self, pressed: bool, increment: NDArray[np.float64] | None, received: float
    ) -> None:
        """Take in a command.

        Args:
            pressed: Whether the takeover button is down.
            increment: Commanded increment (A,), SI; None if it was refused: hold.
            received: When the command was received.
        """
        self.increment = increment
        self.received = received
        if not pressed:
            self._seen_released = True
            if self.grip is Grip.HUMAN:
                self.grip = Grip.POLICY
            elif self.grip is Grip.LATCHED:
                self.grip = Grip.REARMED
        elif self.grip is Grip.REARMED:
            self.grip = Grip.HUMAN
        elif self.grip is Grip.POLICY:
            self.grip = Grip.HUMAN if self._seen_released else Grip.LATCHED

    def silence(self) -> bool:
        """Note that the person's commands have stopped; whether that latched a hold."""
        if self.grip is not Grip.HUMAN:
            return False
        self.grip = Grip.LATCHED
        self.increment = None
        return True
