"""Game controllers that exist only in SDL, and the real gamepad node that reads them.

As a program it attaches pads with the names that it is given, by default one, runs the node, and
does what it reads from stdin, one command a line, each answered on stdout by `ok` or `error: …`; a
command is for the first pad, or for the second if `2` stands before it:

    press a | release a | tap a 0.12      buttons, by SDL's names
    axis leftx 0.5                        -1 to 1 as SDL counts: right and down are plus
    unplug | plug | wait 0.5

A rumble is printed as `rumble <strength>`. Everything after `--ros-args` goes to ROS.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from rlt_teleop.main import gamepad
from rlt_teleop.pad import LARGEST, sdl2

AXES = ("leftx", "lefty", "rightx", "righty", "lefttrigger", "righttrigger")
BUTTONS = (
    "a", "b", "x", "y", "back", "guide", "start", "leftstick", "rightstick", "leftshoulder",
    "rightshoulder", "dpup", "dpdown", "dpleft", "dpright", "misc1", "paddle1", "paddle2",
    "paddle3", "paddle4", "touchpad",
)  # fmt: skip
TAP_S = 0.12
RUMBLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint16, ctypes.c_uint16)


class VirtualPad:
    """One virtual controller. SDL must outlive it; its functions take SDL's own lock."""

    def __init__(
        self, name: str = "Virtual Pad",
        on_rumble: Callable[[float], None] = lambda strength: None,
    ) -> None:
        sdl2.SDL_Init(sdl2.SDL_INIT_GAMECONTROLLER)
        self._name = name.encode()
        self._on_rumble = RUMBLE(lambda _, low, __: on_rumble(low / 0xFFFF) or 0)
        self._joystick = None
        self.plug()

    def plug(self) -> None:
        description = sdl2.SDL_VirtualJoystickDesc(
            version=sdl2.SDL_VIRTUAL_JOYSTICK_DESC_VERSION,
            type=sdl2.SDL_JOYSTICK_TYPE_GAMECONTROLLER,
            naxes=len(AXES),
            nbuttons=len(BUTTONS),
            name=self._name,
            button_mask=(1 << len(BUTTONS)) - 1,
            axis_mask=(1 << len(AXES)) - 1,
        )
        description.Rumble = ctypes.cast(self._on_rumble, type(description.Rumble))
        index = sdl2.SDL_JoystickAttachVirtualEx(ctypes.byref(description))
        assert index >= 0, sdl2.SDL_GetError()
        self._joystick = sdl2.SDL_JoystickOpen(index)
        for trigger in AXES[4:]:
            self.axis(trigger, -1.0)  # SDL maps the full travel of a virtual trigger

    def unplug(self) -> None:
        instance = sdl2.SDL_JoystickInstanceID(self._joystick)
        sdl2.SDL_LockJoysticks()  # its place shifts when another one goes
        index = next(
            each for each in range(sdl2.SDL_NumJoysticks())
            if sdl2.SDL_JoystickGetDeviceInstanceID(each) == instance
        )
        detached = sdl2.SDL_JoystickDetachVirtual(index)
        sdl2.SDL_UnlockJoysticks()
        assert detached == 0, sdl2.SDL_GetError()
        sdl2.SDL_JoystickClose(self._joystick)

    def press(self, button: str) -> None:
        self._set_button(button, 1)

    def release(self, button: str) -> None:
        self._set_button(button, 0)

    def tap(self, button: str, seconds: float = TAP_S) -> None:
        self.press(button)
        time.sleep(seconds)
        self.release(button)

    def axis(self, name: str, value: float) -> None:
        raw = round(value * LARGEST) if value > -1.0 else -LARGEST - 1
        sdl2.SDL_JoystickSetVirtualAxis(self._joystick, AXES.index(name), raw)

    def _set_button(self, button: str, down: int) -> None:
        sdl2.SDL_JoystickSetVirtualButton(self._joystick, BUTTONS.index(button), down)


def obey(pads: Sequence[VirtualPad]) -> None:
    """Do what stdin says, until it ends."""
    for line in sys.stdin:
        second = line.startswith("2 ")
        pad = pads[second]
        try:
            match line.split()[second:]:
                case ["press" | "release" | "tap" as action, button]:
                    getattr(pad, action)(button)
                case ["tap", button, seconds]:
                    pad.tap(button, float(seconds))
                case ["axis", name, value]:
                    pad.axis(name, float(value))
                case ["plug" | "unplug" as action]:
                    getattr(pad, action)()
                case ["wait", seconds]:
                    time.sleep(float(seconds))
                case _:
                    raise ValueError(f"unknown command {line.strip()!r}")
            print("ok", flush=True)
        except (ValueError, AssertionError) as error:
            print(f"error: {error}", flush=True)


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # left to the node
    start = sys.argv.index("--ros-args") if "--ros-args" in sys.argv else len(sys.argv)
    names, sys.argv[1:] = sys.argv[1:start] or ["Virtual Pad"], sys.argv[start:]
    pads = [
        VirtualPad(name, lambda strength: print(f"rumble {strength:.2f}", flush=True))
        for name in names
    ]
    threading.Thread(target=obey, args=(pads,), daemon=True).start()
    gamepad()


if __name__ == "__main__":
    main()
