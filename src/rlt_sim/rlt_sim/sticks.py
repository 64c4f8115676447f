"""The scripted person's gamepad: the controls to use so that a profile reads an action as meant."""

from __future__ import annotations

from collections.abc import Sequence

from rlt_sim.person import PersonAction
from rlt_teleop.device_profile import OFF, Motion, Profile

AXES, BUTTONS = 6, 21
"""How many axes and buttons `joy`'s game_controller_node has."""
HELD_TICKS = 6
"""How long a button is held for one press: longer than any debounce time."""


class Sticks:
    """Turns actions into the axes and buttons of a Joy message."""

    def __init__(self, profile: Profile, names: Sequence[str], rate_hz: float) -> None:
        """Look up the controls.

        Args:
            profile: what the controls mean.
            names: axes of the actions' increments.
            rate_hz: actions per second.

        Raises:
            ValueError: the profile lacks a control that the person needs.
        """
        missing = [
            name
            for name in names
            if name not in profile.motions or profile.motions[name].axis == OFF
        ]
        missing += [name for name in ("success", "failure") if name not in profile.functions]
        if missing:
            raise ValueError(
                f"profile {profile.name} has no stick or button for {', '.join(missing)}: the "
                "scripted person needs one, e.g. profile xbox"
            )
        self._profile = profile
        self._motions = [profile.motions[name] for name in names]
        self._rate = rate_hz
        self._axes, self._buttons = map(max, profile.needs, (AXES, BUTTONS))
        self._held: dict[str, int] = {}

    def hold(self, action: PersonAction) -> tuple[list[float], list[int]]:
        """Axes and buttons for one tick; what the gamepad cannot do is left out.

        Turbo is held with the takeover: the person decides by itself how fast to move.
        """
        axes, buttons = [0.0] * self._axes, [0] * self._buttons
        if action.takeover:
            buttons[self._profile.enable] = 1
            if self._profile.turbo != OFF:
                buttons[self._profile.turbo] = 1
            for motion, increment in zip(self._motions, action.increment, strict=True):
                axes[motion.axis] = self._deflection(motion, float(increment))
        self._held = {name: ticks - 1 for name, ticks in self._held.items() if ticks > 1}
        if action.presses:  # one thumb: a new press releases the last one
            self._held = dict.fromkeys(action.presses, HELD_TICKS)
        for function in self._held.keys() & self._profile.functions.keys():
            buttons[self._profile.functions[function]] = 1
        return axes, buttons

    def _deflection(self, motion: Motion, increment: float) -> float:
        speed = motion.scale if self._profile.turbo == OFF else motion.turbo
        return min(1.0, max(-1.0, increment * self._rate / speed))
