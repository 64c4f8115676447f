"""Whether the input device can be trusted, and if not, why: silence, repetition, wrong device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlt_core.settings import setting
from rlt_teleop.device_profile import Profile


@dataclass(frozen=True)
class JoySettings:
    """When an input device is trusted."""

    joy_timeout_s: float = setting(0.2, "silence after which the device counts as gone, s", low=0.0)
    stale_s: float = setting(
        2.0, "time for which a deflected stick may repeat the same value, s; 0 = forever", low=0.0
    )
    stale_full_s: float = setting(
        5.0, "the same at full deflection, where a live stick repeats itself, s; 0 = forever",
        low=0.0,
    )
    debounce_s: float = setting(
        0.05, "time for which a button must stay down, or up, to count, s", low=0.0
    )


@dataclass(frozen=True)
class Device:
    """Which device a message is from, as far as the message shows.

    Attributes:
        name: The frame of its header: our gamepad node writes the device's identity there.
        axes, buttons: How many of them it has.
    """

    name: str
    axes: int
    buttons: int

    def __str__(self) -> str:
        """The device in a sentence."""
        return f"{self.name or '(no frame)'} with {self.axes} axes and {self.buttons} buttons"


class JoyWatch:
    """Follows the messages of one device: the first one that is trusted, and no other.

    Once a fault has occurred, and at the start, the device must be seen at rest (takeover button
    up, nothing deflected) before it is trusted. While another device publishes, neither is.

    Attributes:
        device: The device in use; before one was trusted, the last that fitted; None before that.
        axes, buttons: The last usable message; empty before there was one.
    """

    def __init__(self, profile: Profile, settings: JoySettings, topic: str) -> None:
        """Set up.

        Args:
            profile: What the controls mean.
            settings: Time limits.
            topic: Full name of the topic, for messages.
        """
        self.device: Device | None = None
        self.axes: tuple[float, ...] = ()
        self.buttons: tuple[int, ...] = ()
        self._profile = profile
        self._settings = settings
        self._topic = topic
        self._received = -math.inf
        self._changed = -math.inf
        self._wrong = ""
        self._wrong_at = -math.inf
        self._rested = False
        self._believed = False

    def take(
        self, name: str, axes: Sequence[float], buttons: Sequence[int], now: float
    ) -> bool:
        """Process a message of the device `name`, received at monotonic time `now` in s.

        Returns:
            Whether the device has just appeared, or appeared again.
        """
        device = Device(name, len(axes), len(buttons))
        wrong = self._stranger(device) or self._mismatch(axes, buttons)
        if wrong:
            self._doubt(wrong, now)
            return True
        appeared = self._silent(now) or device != self.device
        changed = appeared or (tuple(axes), tuple(buttons)) != (self.axes, self.buttons)
        self.device, self._received = device, now
        self.axes, self.buttons = tuple(axes), tuple(buttons)
        if changed:
            self._changed = now
        self._rested = (self._rested and not appeared and not self._stale(now)) or self._resting()
        self._believed |= self._rested
        return appeared

    def shared(self, publishers: Sequence[str], now: float) -> None:
        """Note who publishes the topic at monotonic time `now`: it must be one device's node."""
        if len(publishers) > 1:
            self._doubt(
                f"{self._topic} is published by {' and by '.join(publishers)}: only one device may "
                "drive, so end the others (one that was killed disappears within 20 s)",
                now,
            )

    def fault(self, now: float) -> str:
        """Why the device cannot be used at monotonic time `now`; empty if it can."""
        topic, settings = self._topic, self._settings
        if now - self._wrong_at <= settings.joy_timeout_s:
            return self._wrong
        if self._received == -math.inf:
            return (
                f"nothing received on {topic} yet: attach the gamepad, or start the keyboard in a "
                "terminal (ros2 run rlt_teleop keyboard)"
            )
        if self._silent(now):
            self._rested = False
            return (
                f"{topic} has been silent for more than {settings.joy_timeout_s:g} s: check the "
                "device, its link and its node"
            )
        if self._stale(now):
            return (
                f"{topic} repeats one deflected stick without the least change, as after a lost "
                "link: let go of the device"
            )
        if not self._rested:
            return (
                "the device has not been at rest since it appeared: let go of the takeover button "
                "and of the sticks; for a stick that does not rest at 0 raise the deadzone"
            )
        return ""

    @property
    def held(self) -> bool:
        """Whether the takeover button was down in the last message."""
        return bool(self.buttons) and self._profile.held(self.buttons)

    def _doubt(self, wrong: str, now: float) -> None:
        self._wrong, self._wrong_at = wrong, now
        self._rested = False

    def _silent(self, now: float) -> bool:
        return now - self._received > self._settings.joy_timeout_s

    def _resting(self) -> bool:
        deflected = self._profile.deflected(self.axes, self.buttons)
        return not deflected and not self._profile.held(self.buttons)

    def _stale(self, now: float) -> bool:
        """Whether a deflected device has not changed for longer than a hand can hold still.

        The gripper does not count: its trigger may be held to keep the grip.
        """
        deflected = self._profile.deflected(self.axes, self.buttons)
        values = [value for name, value in deflected.items() if name != "gripper"]
        if not values:
            return False
        full = all(abs(value) >= 1.0 for value in values)
        limit = self._settings.stale_full_s if full else self._settings.stale_s
        return 0.0 < limit < now - self._changed

    def _stranger(self, device: Device) -> str:
        """Why this is not the device in use; empty if it is, or if none is in use yet."""
        if not self._believed or device == self.device:
            return ""
        return (
            f"{self._topic} comes from {device}, and the device in use is {self.device}: attach "
            "that one again, or restart the operator node to choose another"
        )

    def _mismatch(self, axes: Sequence[float], buttons: Sequence[int]) -> str:
        """Why these are not the controls that the profile maps; empty if they are."""
        needed_axes, needed_buttons = self._profile.needs
        if len(axes) < needed_axes or len(buttons) < needed_buttons:
            return (
                f"the device on {self._topic} has {len(axes)} axes and {len(buttons)} buttons, "
                f"profile {self._profile.name} needs {needed_axes} and {needed_buttons}: choose "
                "the profile that belongs to the device (profile:=xbox, generic, keyboard or a "
                "file)"
            )
        broken = [index for index, value in enumerate(axes) if not math.isfinite(value)]
        if broken:
            return (
                f"axis {broken[0]} on {self._topic} is {axes[broken[0]]}: check the device's driver"
            )
        return ""
