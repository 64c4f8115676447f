"""Faults 45 and 53: real device nodes, game controllers in SDL and a terminal's keys."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time

from rlt_core.records import Source
from rlt_interfaces.msg import HumanCommand
from rlt_node import qos

from .bench import AGREED, ROOT, Bench
from .chunks import CHUNK, quoted
from .people import DEVICE_S, nobody
from .rows import Make, row

PROFILES = ROOT / "config" / "gamepads"
VIRTUAL_PAD = ROOT / "src" / "rlt_teleop" / "test" / "virtual_pad.py"
KEYBOARD = "from rlt_teleop.main import keyboard; keyboard()"
KEY_REPEAT_S = 0.8  # a second SPACE within this time is taken for the first one's repeat
NO_KEYS = (  # left arrow, the same with Ctrl, F1, keypad, Alt+d, é, Escape, pasted text
    b"\x1b[D", b"\x1b[1;5D", b"\x1bOP", b"\x1bOy", b"\x1bd", "é".encode(), b"\x1b",
    b"\x1b[200~a wise word\x1b[201~",
)


class Pads:
    """Two virtual pads behind one real gamepad node, which uses the first of the list."""

    def __init__(self, bench: Bench, *names: str, **parameters: str) -> None:
        words = [word for each in parameters.items() for word in ("-p", "{}:={}".format(*each))]
        with open(bench.graph.folder / "gamepad.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, str(VIRTUAL_PAD), *names,
                    "--ros-args", "-r", "__ns:=/rlt", *words,
                ],
                env=bench.graph.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True, bufsize=1,
            )
        bench.closing.append(self.end)

    def do(self, *commands: str) -> float:
        """Execute commands; return the monotonic time after that."""
        for command in commands:
            print(command, file=self.process.stdin)
            answer = self.process.stdout.readline()
            while answer.startswith("rumble"):
                answer = self.process.stdout.readline()
            assert answer == "ok\n", answer
        return time.monotonic()

    def end(self) -> None:
        """End the node, and the pads with it."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20.0)


def operated(bench: Bench, profile: str) -> list[HumanCommand]:
    """Start the real operator, wait until it trusts the device, and let the policy drive.

    Returns:
        A list that fills with the operator's commands.
    """
    bench.graph.start("operator", "--params-file", str(PROFILES / f"{profile}.yaml"), **AGREED)
    commands = bench.heard(HumanCommand, "human_command", qos.COMMAND)
    trusted(bench, commands)
    bench.drive()
    return commands


def trusted(bench: Bench, commands: list[HumanCommand]) -> None:
    """Wait until the operator trusts the device: it must receive it at rest first."""
    bench.wait(lambda: commands and not commands[-1].fault, "the operator to trust the device")


def driven(bench: Bench) -> bool:
    """Whether the person drives, the blend at the start excluded."""
    return bench.steps[-1].source is Source.HUMAN


def chosen(bench: Bench, name: str) -> None:
    """Wait until the gamepad node has logged that it uses this pad."""
    line = f"gamepad: game controller: {name} "
    bench.wait(
        lambda: any(text.startswith(line) for text in bench.logged("INFO")), f"the choice of {name}"
    )


@row(45, "one of two pads unplugged in a takeover while the other's button and stick are held; its "
     "node restarted, and then finds the other first", "hold on its silence, latched; the other "
     "never drives; the first one drives again on a new press", "person")
def one_of_two_pads_unplugged(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    pads = Pads(bench, "First Pad", "Second Pad")
    commands = operated(bench, "xbox")
    pads.do("2 press rightshoulder", "2 axis lefty -1")
    pads.do("press rightshoulder", "axis lefty -0.6")
    bench.wait(lambda: driven(bench), "the takeover")
    bench.pass_ticks(CHUNK)
    bench.mark()
    fault = pads.do("unplug")
    hold = bench.held(fault, DEVICE_S, ticks=3 * CHUNK)
    nobody(bench, hold.at)
    line = bench.said_once("chunk_controller", "joy", "silent")
    gone = re.compile(r"gamepad: First Pad .* is gone.* Second Pad .* is another one")
    bench.wait(lambda: any(map(gone.match, bench.logged("WARN"))), "the gamepad node's warning")
    pads.end()
    pads = Pads(bench, "Second Pad", "First Pad")
    chosen(bench, "Second Pad")
    bench.wait(lambda: "Second Pad" in commands[-1].fault, "the operator to receive Second Pad")
    for presses in ((), ("press rightshoulder", "axis lefty -1"), ("release rightshoulder",)):
        pads.do(*presses)
        bench.pass_ticks(3 * CHUNK)
    nobody(bench, hold.at)
    pads.end()
    pads = Pads(bench, "Second Pad", "First Pad", device_name="First Pad")
    chosen(bench, "First Pad")
    trusted(bench, commands)
    bench.pass_ticks(3 * CHUNK)
    nobody(bench, hold.at)
    pads.do("2 press rightshoulder", "2 axis lefty -0.6")
    bench.wait(lambda: driven(bench), "the second takeover")
    bench.resumes(pads.do("2 axis lefty 0", "2 release rightshoulder"))
    bench.steady()
    assert len(bench.errors()) == 1, bench.errors()
    bench.judge()
    return (
        f"hold after {hold.delay:.2f} s; the other pad never drove, neither held nor pressed "
        f"again after a restart of the node; the first one did on a new press: {quoted(line)}"
    )


@row(53, "keys that are not bound, in a takeover: arrows, function keys, the keypad, Alt, é; "
     "pasted text", "nothing moves; the takeover stays; a bound key moves at once", "person")
def escape_sequences(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    keys, terminal = pty.openpty()
    with open(bench.graph.folder / "keyboard.log", "ab") as log:
        keyboard = subprocess.Popen(
            [sys.executable, "-c", KEYBOARD], env=bench.graph.environment,
            stdin=terminal, stdout=log, stderr=log,
        )
    bench.closing += [keyboard.terminate, keyboard.wait]
    bench.closing += [lambda: os.close(keys), lambda: os.close(terminal)]
    operated(bench, "keyboard")
    os.write(keys, b" ")
    bench.wait(lambda: driven(bench), "the takeover")
    time.sleep(KEY_REPEAT_S)
    begin = time.monotonic()
    for sequence in NO_KEYS:
        for place in range(len(sequence)):  # complete first, then split at every byte
            for part in filter(None, (sequence[:place], sequence[place:])):
                os.write(keys, part)
                bench.pass_ticks(2)
        bench.pass_ticks(CHUNK + 5)  # until it has ended
    steps = bench.since(begin)
    assert {step.source for step in steps} == {Source.HUMAN}, {step.source.name for step in steps}
    moved = [step.tick for step in steps if any(step.increment)]
    assert not moved, f"moved at ticks {moved[:5]}"
    pressed = time.monotonic()
    os.write(keys, b"w")
    bench.wait(lambda: any(any(step.increment) for step in bench.since(pressed)), "the motion")
    bench.pass_ticks(CHUNK)
    os.write(keys, b" ")
    bench.resumes(time.monotonic())
    bench.steady()
    assert not bench.errors(), bench.errors()
    bench.judge()
    return (
        f"{len(NO_KEYS)} keys and texts, each complete and split at every byte: no increment in "
        f"{len(steps)} ticks of takeover; w moved and SPACE gave back"
    )
