"""Game controllers through SDL, with the axes and buttons of `joy`'s game_controller_node."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

with warnings.catch_warnings():  # it says which SDL it found; that is what we installed
    warnings.simplefilter("ignore", UserWarning)
    import sdl2

RUMBLE_MS = 1000
"""A rumble ends by itself after this time, in ms; an intensity of 0 ends it at once."""
LARGEST = 32767


@dataclass(frozen=True)
class PadState:
    """What a controller shows.

    Attributes:
        axes: Left stick (left +, up +), right stick, left and right trigger (0 to -1).
        buttons: A, B, X, Y, back, guide, start, left and right stick, left and right shoulder,
            D-pad (up, down, left, right), misc, four paddles, touch pad.
    """

    axes: tuple[float, ...]
    buttons: tuple[int, ...]


def scaled(raw: int, deadzone: float) -> float:
    """An axis as ROS shows it: left and up positive, continuous at the edge of the dead zone.

    Args:
        raw: SDL's value, -32768 to 32767; right and down positive, triggers from 0.
        deadzone: Part of the way, 0 to below 1, that counts as centre.
    """
    value = max(raw, -LARGEST) / LARGEST
    beyond = max(abs(value) - deadzone, 0.0) / (1.0 - deadzone)
    return 0.0 if not beyond else -beyond if value > 0 else beyond


class Pad:
    """One game controller that may come and go. Use it from one thread.

    Args:
        device_name: Its name as SDL gives it; empty: by index.
        device_index: Which of the attached devices, if there is no name.
        deadzone: Part of an axis's way that counts as centre.

    Raises:
        OSError: If SDL cannot be started.
    """

    def __init__(self, device_name: str, device_index: int, deadzone: float) -> None:
        self._wanted = device_name
        self._index = device_index
        self._deadzone = deadzone
        self._controller: object | None = None
        # Neither window nor display, and signals are the node's.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_JOYSTICK_ALLOW_BACKGROUND_EVENTS, b"1")
        if sdl2.SDL_Init(sdl2.SDL_INIT_GAMECONTROLLER) < 0:
            raise OSError(f"SDL cannot be started ({_text(sdl2.SDL_GetError())})")
        # Its events are not read: the state is. A full queue would cost time.
        sdl2.SDL_GameControllerEventState(sdl2.SDL_DISABLE)
        sdl2.SDL_JoystickEventState(sdl2.SDL_DISABLE)

    @property
    def name(self) -> str:
        """Name of the open controller, empty if there is none."""
        opened = self._controller
        return _text(sdl2.SDL_GameControllerName(opened)) if opened is not None else ""

    def read(self) -> PadState | None:
        """The controller's state now; None while it is not attached. Opens it when it comes."""
        sdl2.SDL_GameControllerUpdate()
        opened = self._controller
        if opened is not None and not sdl2.SDL_GameControllerGetAttached(opened):
            sdl2.SDL_GameControllerClose(opened)
            self._controller = None
        if self._controller is None:
            self._open()
        if self._controller is None:
            return None
        return PadState(
            tuple(
                scaled(sdl2.SDL_GameControllerGetAxis(self._controller, axis), self._deadzone)
                for axis in range(sdl2.SDL_CONTROLLER_AXIS_MAX)
            ),
            tuple(
                int(sdl2.SDL_GameControllerGetButton(self._controller, button))
                for button in range(sdl2.SDL_CONTROLLER_BUTTON_MAX)
            ),
        )

    def missing(self) -> str:
        """Why there is no controller, and what to do."""
        names = [
            _text(sdl2.SDL_JoystickNameForIndex(index)) for index in range(sdl2.SDL_NumJoysticks())
        ]
        if not names:
            return (
                "no game controller is attached: plug one in, or switch it on; if it is, check "
                "that you may read /dev/input/event* (group input)"
            )
        attached = ", ".join(f"{index}: {name}" for index, name in enumerate(names))
        if self._wanted and self._wanted not in names:
            return f"no controller is called {self._wanted!r}; attached: {attached}"
        if not self._wanted and self._index >= len(names):
            return f"there is no device {self._index}; attached: {attached}"
        return (
            f"SDL has no mapping for the device (attached: {attached}): set the environment "
            "variable SDL_GAMECONTROLLERCONFIG to its mapping, or use another"
        )

    def rumble(self, intensity: float) -> None:
        """Shake with an intensity from 0 to 1; nothing happens where the pad cannot."""
        if self._controller is not None:
            strength = int(intensity * 0xFFFF)
            sdl2.SDL_GameControllerRumble(self._controller, strength, strength, RUMBLE_MS)

    def close(self) -> None:
        """Let go of the controller and of SDL."""
        if self._controller is not None:
            sdl2.SDL_GameControllerClose(self._controller)
            self._controller = None
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_GAMECONTROLLER)

    def _open(self) -> None:
        for index in range(sdl2.SDL_NumJoysticks()):
            named = _text(sdl2.SDL_JoystickNameForIndex(index)) == self._wanted
            if (named if self._wanted else index == self._index) and sdl2.SDL_IsGameController(
                index
            ):
                self._controller = sdl2.SDL_GameControllerOpen(index) or None
                return


def _text(name: bytes | None) -> str:
    return (name or b"?").decode(errors="replace")
