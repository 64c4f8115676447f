"""Game controllers through SDL, with the axes and buttons of `joy`'s game_controller_node."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

with warnings.catch_warnings():  # it says which SDL it found; that is what we installed
    warnings.simplefilter("ignore", UserWarning)
    import sdl2

from rlt_teleop.device_choice import Attached, Choice

RUMBLE_MS = 1000
"""A rumble ends by itself after this time, in ms; an intensity of 0 ends it at once."""
LARGEST = 32767


@dataclass(frozen=True)
class PadState:
    """The state of a controller.

    Attributes:
        axes: Left stick (left +, up +), right stick, left and right trigger (0 to -1).
        buttons: A, B, X, Y, back, guide, start, left and right stick, left and right shoulder,
            D-pad (up, down, left, right), misc, four paddles, touch pad.
    """

    axes: tuple[float, ...]
    buttons: tuple[int, ...]


def scaled(raw: int, deadzone: float) -> float:
    """An axis in ROS's convention: left and up positive, continuous at the edge of the dead zone.

    Args:
        raw: SDL's value, -32768 to 32767; right and down positive, triggers from 0.
        deadzone: Part of the travel, 0 to below 1, that counts as centre.
    """
    value = max(raw, -LARGEST) / LARGEST
    beyond = max(abs(value) - deadzone, 0.0) / (1.0 - deadzone)
    return 0.0 if not beyond else -beyond if value > 0 else beyond


class Pad:
    """One game controller that may come and go. Use it from one thread.

    Attributes:
        attached: Every device that was attached at the last read, in SDL's order.
    """

    def __init__(self, choice: Choice, deadzone: float) -> None:
        """Set up.

        Args:
            choice: Which of the attached controllers it is.
            deadzone: Part of an axis's travel that counts as centre.

        Raises:
            OSError: If SDL cannot be started.
        """
        self.attached: list[Attached] = []
        self._choice = choice
        self._deadzone = deadzone
        self._controller: object | None = None
        self._opened: int | None = None
        # No window, no display, and the node handles signals.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_JOYSTICK_ALLOW_BACKGROUND_EVENTS, b"1")
        if sdl2.SDL_Init(sdl2.SDL_INIT_GAMECONTROLLER) < 0:
            raise OSError(f"SDL cannot be started ({_text(sdl2.SDL_GetError())})")
        # The state is read, not the events. A full queue would cost time.
        sdl2.SDL_GameControllerEventState(sdl2.SDL_DISABLE)
        sdl2.SDL_JoystickEventState(sdl2.SDL_DISABLE)

    def read(self) -> PadState | None:
        """The controller's state now; None while it is not attached. Opens it when it appears."""
        sdl2.SDL_GameControllerUpdate()
        sdl2.SDL_LockJoysticks()  # no index shifts before it is opened
        try:
            self.attached = self._list()
            self._use(self._choice.pick(self.attached))
        finally:
            sdl2.SDL_UnlockJoysticks()
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

    def rumble(self, intensity: float) -> None:
        """Rumble with an intensity from 0 to 1; has no effect on a pad without rumble."""
        if self._controller is not None:
            strength = int(intensity * 0xFFFF)
            sdl2.SDL_GameControllerRumble(self._controller, strength, strength, RUMBLE_MS)

    def close(self) -> None:
        """Release the controller and SDL."""
        self._use(None)
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_GAMECONTROLLER)

    def _use(self, device: Attached | None) -> None:
        """Keep this device open, and no other."""
        wanted = None if device is None else device.instance
        if self._controller is not None and wanted != self._opened:
            sdl2.SDL_GameControllerClose(self._controller)
            self._controller = None
        if device is not None and self._controller is None:
            self._controller = sdl2.SDL_GameControllerOpen(device.index) or None
            self._opened = wanted

    def _list(self) -> list[Attached]:
        known = {each.instance: each.serial for each in self.attached}
        found = []
        for index in range(sdl2.SDL_NumJoysticks()):
            instance = sdl2.SDL_JoystickGetDeviceInstanceID(index)
            found.append(
                Attached(
                    index, instance, _text(sdl2.SDL_JoystickNameForIndex(index)),
                    bytes(sdl2.SDL_JoystickGetDeviceGUID(index).data).hex(),
                    known[instance] if instance in known else _serial(index),
                    bool(sdl2.SDL_IsGameController(index)),
                )
            )
        return found


def _serial(index: int) -> str:
    """The serial number of a device, which only an open one reports."""
    joystick = sdl2.SDL_JoystickOpen(index)
    if not joystick:
        return ""
    serial = sdl2.SDL_JoystickGetSerial(joystick)
    sdl2.SDL_JoystickClose(joystick)
    return _text(serial) if serial else ""


def _text(name: bytes | None) -> str:
    return (name or b"?").decode(errors="replace")
