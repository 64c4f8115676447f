"""Who holds the robot: hold-to-run takeover by a person, fail-safe when the person goes silent."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rlt_core.gate import Rejection

REPRESS = "the controller holds until the takeover button is released and pressed again"
SILENCE = (
    f"no human_command comes from the operator node in takeover: {REPRESS}; check that node, the "
    "gamepad and its link"
)


class Grip(Enum):
    """Who may move the robot."""

    POLICY = "policy"
    HUMAN = "human"
    LATCHED = "latched"
    REARMED = "rearmed"


class Takeover:
    """The state of the takeover button.

    POLICY goes to HUMAN when the button is pressed and back when it is released. A person who
    goes silent in takeover latches a hold, and so does a button that is down before it was seen
    up: at the first command, and again after every silence. A latch ends in HUMAN only, by a
    release (REARMED) and a new press: never in the policy, which somebody wanted off.

    Args:
        silence: How long a person may say nothing; in the unit of all times given here.

    Attributes:
        grip: Who may move the robot.
        increment: The increment (A,) commanded last, SI; None if it was refused.
        received: When the last command was received, -inf after a fault of the device.
        latch: Why the hold was latched; None unless the grip is LATCHED or REARMED.
    """

    def __init__(self, silence: float) -> None:
        self.grip = Grip.POLICY
        self.increment: NDArray[np.float64] | None = None
        self.received = -np.inf
        self.latch: Rejection | None = None
        self._silence = silence
        self._seen_released = False
        self._fault = ""

    def update(
        self, pressed: bool, increment: NDArray[np.float64] | None, received: float
    ) -> None:
        """Take in a command.

        Args:
            pressed: Whether the takeover button is down.
            increment: Commanded increment (A,), SI; None if it was refused: hold.
            received: When the command was received.
        """
        if self.silent(received):
            self._lose("silence", SILENCE)
        self.increment = increment
        self.received = received
        self._fault = ""
        if not pressed:
            self._seen_released = True
            if self.grip is Grip.HUMAN:
                self.grip = Grip.POLICY
            elif self.grip is Grip.LATCHED:
                self.grip = Grip.REARMED
        elif self.grip is Grip.REARMED:
            self.grip, self.latch = Grip.HUMAN, None
        elif self.grip is Grip.POLICY:
            if self._seen_released:
                self.grip = Grip.HUMAN
            else:
                self._latch(
                    "held", f"the takeover button was down before it was seen up: {REPRESS}"
                )

    def fault(self, reason: str) -> None:
        """Note that the input device cannot be used, and why: nothing is known of the button."""
        self._lose("device", f"{reason}: {REPRESS}")
        self._fault = reason
        self.received = -np.inf

    def silent(self, now: float) -> bool:
        """Whether the last command is older than the person may be silent."""
        return now - self.received > self._silence

    def check(self, now: float) -> Rejection | None:
        """Latch a hold if the person in takeover is silent; return why the hold is latched."""
        if self.silent(now) and self.grip is Grip.HUMAN:
            self._lose("silence", SILENCE)
        return self.latch

    def absent(self, now: float) -> str:
        """Why nobody could take over now; empty if somebody could."""
        if self._fault:
            return self._fault
        if self.silent(now):
            return "no human_command comes from the operator node"
        return "" if self.increment is not None else "the last human_command was refused"

    def _lose(self, code: str, message: str) -> None:
        """The person is not heard: hold if in takeover, and trust no button that stays down."""
        self._seen_released = False
        self.increment = None
        if self.grip is Grip.HUMAN:
            self._latch(code, message)
        elif self.grip is Grip.REARMED:
            self.grip = Grip.LATCHED  # the release that was seen counts no more

    def _latch(self, code: str, message: str) -> None:
        self.grip, self.latch = Grip.LATCHED, Rejection(code, message)
