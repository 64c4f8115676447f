"""Control authority: hold-to-run takeover by a person, fail-safe when the commands stop."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.rejection import Rejection

REPRESS = "the controller holds until the takeover button is released and pressed again"
SILENCE = (
    f"no human_command from the operator node during takeover: {REPRESS}; check that node, the "
    "gamepad and its link"
)


class ControlAuthority(Enum):
    """Who may move the robot."""

    POLICY = "policy"
    HUMAN = "human"
    LATCHED = "latched"
    REARMED = "rearmed"


class Takeover:
    """The state of the takeover button.

    POLICY changes to HUMAN when the button is pressed and back when it is released. Missing
    commands during takeover latch a hold. So does a button that is down before it was seen
    released: at the first command, and again after every silence. A latched hold ends only in
    HUMAN, after a release (REARMED) and a new press; never in POLICY, which the person had stopped.

    Attributes:
        authority: Who may move the robot.
        increment: The increment (A,) commanded last, SI; None if it was rejected.
        received: When the last command was received, -inf after a device fault.
        latch: Why the hold was latched; None unless the authority is LATCHED or REARMED.
    """

    def __init__(self, silence: float) -> None:
        """Set up.

        Args:
            silence: Longest time without a command, in the unit of all times given here.
        """
        self.authority = ControlAuthority.POLICY
        self.increment: NDArray[np.float64] | None = None
        self.received = -np.inf
        self.latch: Rejection | None = None
        self._silence = silence
        self._seen_released = False
        self._fault = ""

    def update(
        self, pressed: bool, increment: NDArray[np.float64] | None, received: float
    ) -> None:
        """Process a command.

        Args:
            pressed: Whether the takeover button is down.
            increment: Commanded increment (A,), SI; None if it was rejected: hold.
            received: When the command was received.
        """
        if self.silent(received):
            self._lose("silence", SILENCE)
        self.increment = increment
        self.received = received
        self._fault = ""
        if not pressed:
            self._seen_released = True
            if self.authority is ControlAuthority.HUMAN:
                self.authority = ControlAuthority.POLICY
            elif self.authority is ControlAuthority.LATCHED:
                self.authority = ControlAuthority.REARMED
        elif self.authority is ControlAuthority.REARMED:
            self.authority, self.latch = ControlAuthority.HUMAN, None
        elif self.authority is ControlAuthority.POLICY:
            if self._seen_released:
                self.authority = ControlAuthority.HUMAN
            else:
                self._latch(
                    "held", f"the takeover button was down before it was seen released: {REPRESS}"
                )

    def fault(self, reason: str) -> None:
        """Note that the input device cannot be used, and why: the button's state is unknown."""
        self._lose("device", f"{reason}: {REPRESS}")
        self._fault = reason
        self.received = -np.inf

    def silent(self, now: float) -> bool:
        """Whether the last command is older than the permitted silence."""
        return now - self.received > self._silence

    def check(self, now: float) -> Rejection | None:
        """Latch a hold if commands are missing during takeover; return why it is latched."""
        if self.silent(now) and self.authority is ControlAuthority.HUMAN:
            self._lose("silence", SILENCE)
        return self.latch

    def absent(self, now: float) -> str:
        """Why an operator could not take over now; empty if one could."""
        if self._fault:
            return self._fault
        if self.silent(now):
            return "no human_command from the operator node"
        return "" if self.increment is not None else "the last human_command was rejected"

    def _lose(self, code: str, message: str) -> None:
        """Commands are missing: hold if in takeover, and require a new release of the button."""
        self._seen_released = False
        self.increment = None
        if self.authority is ControlAuthority.HUMAN:
            self._latch(code, message)
        elif self.authority is ControlAuthority.REARMED:
            self.authority = ControlAuthority.LATCHED  # the earlier release no longer counts

    def _latch(self, code: str, message: str) -> None:
        self.authority, self.latch = ControlAuthority.LATCHED, Rejection(code, message)
