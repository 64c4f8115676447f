"""Key presses of a terminal as the state of a device: no key, no motion."""

from __future__ import annotations

import math

MOTION_KEYS = {
    "w": ("x", 1.0), "s": ("x", -1.0),
    "a": ("y", 1.0), "d": ("y", -1.0),
    "r": ("z", 1.0), "f": ("z", -1.0),
    "l": ("roll", 1.0), "j": ("roll", -1.0),
    "i": ("pitch", 1.0), "k": ("pitch", -1.0),
    "q": ("yaw", 1.0), "e": ("yaw", -1.0),
    "o": ("gripper", 1.0), "c": ("gripper", -1.0),
}
"""Key -> (motion, direction)."""
TURBO_KEYS = {key.upper(): meaning for key, meaning in MOTION_KEYS.items()}
"""The ASCII capitals of these keys, and no other character whose small letter is one of them."""
FUNCTION_KEYS = {
    "y": "success", "n": "failure", "x": "discard",
    "h": "handover", "b": "abort", "p": "pause",
}
TAKEOVER_KEY = " "
AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
"""The axes of the Joy message, in this order."""
BUTTONS = (
    "takeover", "turbo", "success", "failure", "discard", "handover", "abort", "pause"
)
"""The buttons of the Joy message, in this order."""

PULSE_S = 0.15
"""How long one key press moves; the terminal's key repeat continues from there."""
REPEAT_S = 0.8
"""Longest pause in a terminal's key repeat: within it the key may still be down."""

HELP = """\
 takeover  SPACE on / off; without a motion key the robot stands still
 move      w s forward back   a d left right   r f up down     capital letter: turbo
 turn      q e yaw            i k pitch        j l roll        o c gripper open close
 label     y success          n failure        x discard the episode
 run       h handover         b abort          p pause / resume learning
           ? this help        Ctrl-C quit\
"""


class Keys:
    """A terminal's keys as a device.

    A terminal reports presses, never releases. So a motion key moves for a short pulse, which key
    repeat prolongs; a function key is one press however long it is held; takeover is a toggle.

    Attributes:
        takeover: Whether takeover is on.
    """

    def __init__(self) -> None:
        self.takeover = False
        self._deflection = dict.fromkeys(AXES, (0.0, -math.inf))
        self._pressed = dict.fromkeys(BUTTONS, -math.inf)
        self._seen: dict[str, float] = {}

    def press(self, key: str, now: float) -> bool:
        """Process a keystroke at monotonic time `now` in s; return whether the key is bound."""
        if key in MOTION_KEYS or key in TURBO_KEYS:
            motion, direction = MOTION_KEYS.get(key) or TURBO_KEYS[key]
            self._deflection[motion] = (direction, now)
            if key in TURBO_KEYS:
                self._pressed["turbo"] = now
            return True
        repeated = now - self._seen.get(key, -math.inf) < REPEAT_S
        self._seen[key] = now
        if key == TAKEOVER_KEY:
            # A second press may be key repeat, which must never hand the robot back.
            if not (self.takeover and repeated):
                self.takeover = not self.takeover
            return True
        if key in FUNCTION_KEYS:
            if not repeated:
                self._pressed[FUNCTION_KEYS[key]] = now
            return True
        return False

    def axes(self, now: float) -> list[float]:
        """Axes of the Joy message at monotonic time `now`."""
        return [
            direction if now - since < PULSE_S else 0.0
            for direction, since in self._deflection.values()
        ]

    def buttons(self, now: float) -> list[int]:
        """Buttons of the Joy message at monotonic time `now`."""
        pulses = [int(now - since < PULSE_S) for since in self._pressed.values()]
        return [int(self.takeover), *pulses[1:]]
