"""Gamepad, keyboard and check as programs: a virtual pad, a terminal, and what they publish."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import Log
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy, JoyFeedback

from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase, Source
from rlt_node import qos
from rlt_node.conversions import episode_to_msg
from rlt_teleop.key_bindings import AXES, BUTTONS
from rlt_teleop.pad import scaled

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 90.0
RUNNING = EpisodeState(
    run="r", episode=7, kind=EpisodeKind.TRAIN, phase=Phase.RUNNING, acting=Source.ACTOR,
    explore=True, seed=0, tick=5, start_tick=0,
)  # fmt: skip


class Bench:
    """What is received in the test's domain, and the programs under test."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("other", namespace="/rlt", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.joy: list[Joy] = []
        self.logs: list[Log] = []
        self.node.create_subscription(Joy, "joy", self.joy.append, qos.SENSOR)
        self.node.create_subscription(Log, "/rosout", self.logs.append, qos.BARRIER)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
        self.processes.append(
            subprocess.Popen(
                [sys.executable, *command], env=environment, text=True, bufsize=1, **options
            )
        )
        return self.processes[-1]

    def wait(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def shows(self, axes: dict[int, float], buttons: set[int]) -> None:
        """Wait for a message with these axes and buttons, the others at rest."""
        def matches() -> bool:
            if not self.joy:
                return False
            last = self.joy[-1]
            expected = [axes.get(index, 0.0) for index in range(len(last.axes))]
            down = {index for index, value in enumerate(last.buttons) if value}
            return list(last.axes) == pytest.approx(expected, abs=1e-3) and down == buttons

        self.wait(matches)

    def said(self, text: str) -> bool:
        return any(text in log.msg for log in self.logs)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(90.0)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


# ---- Gamepad


class Pad:
    """The virtual pads' program."""

    def __init__(self, bench: Bench, *arguments: str) -> None:
        self.process = bench.start(
            str(Path(__file__).with_name("virtual_pad.py")), *arguments,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def do(self, command: str) -> None:
        """Execute a command."""
        print(command, file=self.process.stdin)
        assert self.answer() == "ok"

    def answer(self) -> str:
        return self.process.stdout.readline().strip()


def test_gamepad(bench):
    pad = Pad(bench)
    bench.shows({}, set())
    assert (len(bench.joy[0].axes), len(bench.joy[0].buttons)) == (6, 21)
    assert re.fullmatch(r"Virtual Pad \([0-9a-f]{32}\)", bench.joy[0].header.frame_id)
    bench.wait(lambda: bench.said("game controller: Virtual Pad"))

    # Left and up are plus; a trigger rests at 0 and ends at -1; 5 % are dead.
    pad.do("axis leftx -1")
    pad.do("axis lefty 0.5")
    pad.do("axis rightx 0.04")
    pad.do("axis righttrigger 1")
    for button in ("a", "rightshoulder", "dpleft", "paddle4"):
        pad.do(f"press {button}")
    bench.shows({0: 1.0, 1: -0.45 / 0.95, 5: -1.0}, {0, 10, 13, 19})

    # The pad goes and comes back: nothing meanwhile, and nothing left over.
    pad.do("unplug")
    bench.wait(lambda: bench.said("is gone: attach it again, or switch it on"))
    bench.spin(0.3)  # what was in flight
    del bench.joy[:]
    bench.spin(0.5)
    assert bench.joy == []
    pad.do("plug")
    bench.shows({}, set())
    assert sum("is gone" in log.msg for log in bench.logs) == 1

    # Rumble, and feedback that is not.
    feedback = bench.node.create_publisher(JoyFeedback, "joy/set_feedback", 10)
    bench.wait(feedback.get_subscription_count)
    feedback.publish(JoyFeedback(type=JoyFeedback.TYPE_LED, intensity=0.9))
    feedback.publish(JoyFeedback(type=JoyFeedback.TYPE_RUMBLE, id=1, intensity=0.9))
    feedback.publish(JoyFeedback(type=JoyFeedback.TYPE_RUMBLE, intensity=1.5))
    feedback.publish(JoyFeedback(type=JoyFeedback.TYPE_RUMBLE, intensity=0.25))
    feedback.publish(JoyFeedback(type=JoyFeedback.TYPE_RUMBLE, intensity=0.0))
    assert [pad.answer(), pad.answer()] == ["rumble 0.25", "rumble 0.00"]

    pad.process.send_signal(signal.SIGINT)
    assert pad.process.wait(90.0) == 0


@pytest.mark.parametrize("second", ["Other Pad", "Virtual Pad"])
def test_the_second_of_two_pads_never_takes_the_place_of_the_first(bench, second):
    pad = Pad(bench, "Virtual Pad", second)
    bench.shows({}, set())
    bench.wait(lambda: bench.said(f"; attached and not used: {second} ("))
    chosen = bench.joy[-1].header.frame_id
    pad.do("press rightshoulder")
    bench.shows({}, {10})
    pad.do("2 press a")
    pad.do("2 axis leftx -1")
    pad.do("unplug")
    bench.wait(lambda: bench.said(f"{chosen} is gone; what is attached (0: {second} ("))
    del bench.joy[:]
    bench.spin(1.0)
    assert bench.joy == []
    pad.do("plug")
    bench.shows({}, set())
    pad.do("press b")
    bench.shows({}, {1})
    assert {joy.header.frame_id for joy in bench.joy} == {chosen}


def test_the_parameters_choose_among_pads_of_a_name(bench):
    pad = Pad(
        bench, "Other Pad", "Virtual Pad", "--ros-args", "-p", "device_name:=Virtual Pad",
        "-p", "device_id:=0",
    )
    bench.shows({}, set())
    pad.do("press a")
    pad.do("2 press b")
    bench.shows({}, {1})
    assert bench.joy[-1].header.frame_id.startswith("Virtual Pad (")
    pad.do("unplug")  # now it is at place 0
    bench.shows({}, {1})


def test_gamepad_without_a_pad_says_what_to_do(bench):
    bench.start("-c", "from rlt_teleop.main import gamepad; gamepad()")
    bench.wait(lambda: bench.said("no game controller is attached: plug one in"))
    assert bench.joy == []


def joys_own(raw: int, deadzone: float) -> float:
    """An axis as game_controller_node computes it, in its own order."""
    value, dead = float(max(raw, -32767)), 32767.0 * deadzone
    if value > dead:
        value -= dead
    elif value < -dead:
        value += dead
    else:
        value = 0.0
    return value * (-1.0 / (1.0 - deadzone) / 32767.0)


@given(st.integers(-32768, 32767), st.floats(0.0, 0.9))
def test_axes_are_those_of_joy(raw, deadzone):
    value = scaled(raw, deadzone)
    assert value == pytest.approx(joys_own(raw, deadzone), abs=1e-9)
    assert -1.0 <= value <= 1.0
    assert not (value == 0.0 and math.copysign(1.0, value) < 0)


# ---- Keyboard


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, bench: Bench, program: str) -> None:
        self.main, side = pty.openpty()
        termios.tcsetwinsize(side, (40, 100))
        self.side, self.before = side, termios.tcgetattr(side)
        self.process = bench.start("-c", program, stdin=side, stdout=side, stderr=side)
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def shows(self, text: str) -> bool:
        """Whether a text has been shown so far, colours and line breaks aside."""
        while select.select([self.main], [], [], 0.0)[0]:
            self.shown += os.read(self.main, 65536).decode()
        return text in re.sub(r"\x1b\[\d*\w", "", self.shown)

    def close(self) -> None:
        os.close(self.main)
        os.close(self.side)


@pytest.fixture
def keyboard(bench) -> Iterator[Terminal]:
    made = Terminal(bench, "from rlt_teleop.main import keyboard; keyboard()")
    bench.wait(lambda: bench.joy)
    yield made
    bench.processes[-1].terminate()
    bench.processes[-1].wait(90.0)
    made.close()


def axis(name: str) -> int:
    return AXES.index(name)


def button(name: str) -> int:
    return BUTTONS.index(name)


def test_keyboard_moves_labels_and_shows(bench, keyboard):
    bench.shows({}, set())
    bench.wait(lambda: keyboard.shows("takeover  SPACE on / off"))
    keyboard.type(" ")
    bench.shows({}, {button("takeover")})
    keyboard.type("wQ")
    bench.shows(
        {axis("x"): 1.0, axis("yaw"): 1.0}, {button("takeover"), button("turbo")}
    )
    bench.shows({}, {button("takeover")})  # no key, no motion
    for key, name in (("y", "success"), ("n", "failure"), ("x", "discard"), ("h", "handover"),
                      ("b", "abort"), ("p", "pause")):
        keyboard.type(key)
        bench.shows({}, {button("takeover"), button(name)})
        bench.shows({}, {button("takeover")})
    bench.wait(lambda: keyboard.shows("TAKEOVER | no episode yet"))

    # What the operator logs, and the state of the run.
    states = bench.node.create_publisher(
        type(episode_to_msg(RUNNING)), "episode_state", qos.LATEST
    )
    states.publish(episode_to_msg(RUNNING))
    operator = rclpy.create_node("operator", namespace="/rlt", context=bench.context)
    bench.executor.add_node(operator)
    bench.wait(lambda: keyboard.shows("TAKEOVER | episode 7 training running, actor"))
    corrected = dataclasses.replace(
        RUNNING, episode=5, phase=Phase.ENDED, outcome=Outcome.FAILURE, label_source="human"
    )
    states.publish(episode_to_msg(corrected))  # an earlier one's label: 7 still runs
    assert states.wait_for_all_acked(Duration(seconds=PATIENCE_S))
    operator.get_logger().info("success: episode 7 is a success")
    bench.wait(lambda: keyboard.shows("actor | success: episode 7 is a success"))
    assert not keyboard.shows("episode 5")
    keyboard.type("z")
    bench.wait(lambda: keyboard.shows("'z' is not bound; ? shows the keys"))
    operator.destroy_node()


def test_a_key_that_is_not_bound_moves_nothing_whatever_it_sends(bench, keyboard):
    """The left arrow ends in D, and pasted text is full of letters."""
    bench.shows({}, set())
    del bench.joy[:]
    for typed, told in (
        ("\x1b[D", "'\\x1b[D' is not bound"), ("\x1bOy", "'\\x1bOy' is not bound"),
        ("\x1b[200~wasd y\x1b[201~z", "'z' is not bound"), ("\x1b", "'\\x1b' is not bound"),
    ):
        keyboard.type(typed)
        bench.wait(lambda told=told: keyboard.shows(told))
    assert bench.joy and not any(any(joy.axes) or any(joy.buttons) for joy in bench.joy)
    keyboard.type("\x1b[Dw")
    bench.shows({axis("x"): 1.0}, set())
    assert "\x1b[?2004h" in keyboard.shown


def test_what_was_typed_before_the_keyboard_ran_is_dropped(bench):
    terminal = Terminal(bench, "from rlt_teleop.main import keyboard; keyboard()")
    terminal.type(" Wy")
    bench.wait(lambda: len(bench.joy) > 10)
    assert not any(any(joy.axes) or any(joy.buttons) for joy in bench.joy)
    terminal.process.terminate()
    terminal.process.wait(90.0)
    terminal.close()


@pytest.mark.parametrize("way", ["ctrl-c", "sigterm"])
def test_keyboard_gives_the_terminal_back(bench, keyboard, way):
    changed = termios.tcgetattr(keyboard.side)
    assert not changed[3] & (termios.ICANON | termios.ECHO)
    keyboard.process.send_signal(signal.SIGINT if way == "ctrl-c" else signal.SIGTERM)
    assert keyboard.process.wait(90.0) == 0
    assert termios.tcgetattr(keyboard.side) == keyboard.before
    assert keyboard.shows("") and keyboard.shown.rstrip().endswith("\x1b[?2004l")


def test_keyboard_without_a_terminal_is_refused(bench):
    process = bench.start(
        "-c", "from rlt_teleop.main import keyboard; keyboard()",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "keyboard: error: stdin is not a terminal: start the keyboard by hand" in errors


# ---- Check

CHECK = "import sys; from rlt_teleop.main import operator; sys.argv[1:] = {!r}; operator()"


def publish(bench: Bench, *states: tuple[dict[int, float], set[int]]) -> None:
    """Publish some states of a device in turn."""
    publisher = bench.node.create_publisher(Joy, "joy", qos.DEVICE)
    messages = itertools.cycle(
        Joy(
            axes=[axes.get(index, 0.0) for index in range(6)],
            buttons=[int(index in buttons) for index in range(21)],
        )
        for axes, buttons in states
    )
    bench.node.create_timer(0.02, lambda: publisher.publish(next(messages)))


def test_check_in_a_terminal_shows_every_control_in_place(bench):
    model = ROOT / "models" / "ethernet"
    shell = Terminal(
        bench, CHECK.format(["--check", "--ros-args", "-p", f"model:={model}"])
    )
    bench.wait(lambda: shell.shows("profile xbox: nothing received on /rlt/joy yet"))
    publish(bench, ({1: 0.5}, {10, 0}))
    bench.wait(lambda: shell.shows("axis  1 +0.50 [        |####    ] x"))
    assert shell.shows("the device has not been at rest")
    for text in ("axis  4 +0.00", "gripper+", "button  0 DOWN success", "button 10 DOWN takeover",
                 "button 20   up -", "-> x ", "-> yaw "):
        bench.wait(lambda text=text: shell.shows(text))
    assert not shell.shows("-> roll")  # no action axis of this model
    shell.process.terminate()
    assert shell.process.wait(90.0) == 0
    shell.close()


def test_check_without_a_terminal_tells_changes_line_by_line(bench):
    process = bench.start(
        "-c", CHECK.format(["--check", "--profile", "generic"]), stdout=subprocess.PIPE
    )
    assert "nothing received" in process.stdout.readline()
    publish(bench, ({}, set()), ({0: -1.0}, {3}))
    lines: list[str] = []
    os.set_blocking(process.stdout.fileno(), False)

    def heard(text: str) -> bool:
        lines.extend(iter(process.stdout.readline, ""))
        return any(text in line for line in lines)

    for text in ("the device has 6 axes and 21 buttons", "axis 0 -1.00 y",
                 "button 3 down gripper+", "button 3 up gripper+", "the device is ready"):
        bench.wait(lambda text=text: heard(text))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check", "--profile", "ps5"], "no profile 'ps5': expected one of generic, keyboard"),
        (["--chek"], "unrecognized arguments: --chek"),
    ],
)
def test_wrong_arguments_are_refused_in_words(bench, arguments, said):
    process = bench.start("-c", CHECK.format(arguments), stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert said in errors
