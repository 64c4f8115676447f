"""A person supervises a complete run: takes over, gives back, and labels, by pad and keyboard."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from rlt_core.records import EpisodeKind, Phase, Source

ROOT = Path(__file__).resolve().parents[3]
VIRTUAL_PAD = ROOT / "src" / "rlt_teleop" / "test" / "virtual_pad.py"
EPISODES = {"base_eval_episodes": 0, "warmup_episodes": 1, "episodes": 2, "eval_episodes": 1}
COUNT = 3
GUARDED_TICKS = 25  # more than label_needs_id_ticks
HUMAN_TICKS = 15


class Pad:
    """A virtual pad behind the real gamepad node; RB takes over, A and B label."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(VIRTUAL_PAD), "--ros-args", "-r", "__ns:=/rlt"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment,
        )

    def _say(self, *lines: str) -> None:
        pipe: IO[str] = self.process.stdin
        pipe.write("".join(f"{line}\n" for line in lines))
        pipe.flush()

    def take_over(self) -> None:
        self._say("press rightshoulder", "axis righty -0.5")

    def keep_moving(self) -> None:
        """The stick stays where it is."""

    def give_back(self) -> None:
        self._say("axis righty 0.0", "release rightshoulder")

    def label(self, success: bool) -> None:
        self._say("tap a" if success else "tap b")

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(90.0) == 0


class Keyboard:
    """The keyboard node in a pseudo-terminal; SPACE takes over, r moves up, y and n label."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.keys, terminal = pty.openpty()
        self.process = subprocess.Popen(
            ["ros2", "run", "rlt_teleop", "keyboard"],
            stdin=terminal, stdout=subprocess.DEVNULL, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(terminal)

    def take_over(self) -> None:
        os.write(self.keys, b" ")

    def keep_moving(self) -> None:
        os.write(self.keys, b"r")

    def give_back(self) -> None:
        os.write(self.keys, b" ")

    def label(self, success: bool) -> None:
        os.write(self.keys, b"y" if success else b"n")

    def close(self) -> None:
        os.write(self.keys, b"\x03")  # Ctrl-C
        assert self.process.wait(90.0) == 0
        os.close(self.keys)


@pytest.fixture(params=[Pad, Keyboard])
def device(request, domain) -> Iterator[Pad | Keyboard]:
    made = request.param(os.environ | {"ROS_DOMAIN_ID": str(domain)})
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def launched(domain, device, tmp_path) -> Iterator[subprocess.Popen[bytes]]:
    """A run under supervision, whose device is the test's."""
    name = "none" if isinstance(device, Pad) else "keyboard"
    numbers = [f"{key}:={value}" for key, value in EPISODES.items()]
    with open(tmp_path / "launch.log", "wb") as log:
        process = subprocess.Popen(
            [
                "ros2", "launch", "rlt_bringup", "train.launch.py", "supervisor:=human",
                f"device:={name}", f"output:={tmp_path / 'run'}", *numbers,
            ],
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)}, stdout=log, stderr=log,
        )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(90.0)


class Supervisor:
    """What the person does in one episode, in response to the graph."""

    def __init__(self, watcher, device) -> None:
        self.watcher = watcher
        self.device = device

    def steps(self, episode: int, *sources: Source) -> int:
        """Ticks of an episode that one of the sources decided."""
        return sum(
            step.episode == episode and step.source in sources for step in self.watcher.steps
        )

    def policy_ticks(self, episode: int) -> int:
        return self.steps(episode, Source.BASE, Source.ACTOR)

    def ended(self, episode: int) -> bool:
        return any(
            state.episode == episode and state.phase == Phase.ENDED
            for state in self.watcher.states
        )

    def see_through(self, episode: int, success: bool) -> None:
        """Take the robot from the policy, move it, give it back, and label the episode.

        A press that a busy machine drops is repeated, as a person would do; an episode that
        reaches its time limit meanwhile is skipped.
        """
        device = self.device
        self.until(episode, lambda: self.episode == episode, self.drop, every=2.0, at_once=False)
        self.until(episode, lambda: self.policy_ticks(episode) > GUARDED_TICKS, self.let_go,
                   every=2.0, at_once=False)
        device.take_over()
        self.until(episode, lambda: self.steps(episode, Source.HUMAN) > HUMAN_TICKS,
                   device.keep_moving, every=0.1)
        given = self.policy_ticks(episode)
        self.until(episode, lambda: self.policy_ticks(episode) > given, device.give_back)
        self.until(episode, lambda: False, lambda: device.label(success), every=1.0)

    @property
    def episode(self) -> int:
        """The episode that runs or is being reset."""
        return self.watcher.states[-1].episode if self.watcher.states else 0

    def drop(self) -> None:
        """Give the robot back after an episode that timed out: the next one waits for that."""
        if self.watcher.steps and self.watcher.steps[-1].source in (Source.HUMAN, Source.BLEND):
            self.device.give_back()

    def let_go(self) -> None:
        """Give the robot back if it is still held, latched or not."""
        if self.watcher.steps[-1].source not in (Source.BASE, Source.ACTOR):
            self.device.give_back()

    def until(
        self, episode: int, condition, press=lambda: None, every: float = 1.0, at_once: bool = True
    ) -> None:
        """Press repeatedly until the condition holds or the episode has ended."""
        pressed = -math.inf if at_once else time.monotonic()

        def reached() -> bool:
            nonlocal pressed
            if condition() or self.ended(episode):
                return True
            if time.monotonic() - pressed > every:
                pressed = time.monotonic()
                press()
            return False

        self.watcher.wait_for(reached, f"what the person does in episode {episode}")


@pytest.mark.time_critical
@pytest.mark.timeout(900)  # some of it may pass before its turn comes
def test_a_supervised_run_to_its_end(launched, watcher, device, tmp_path):
    supervisor = Supervisor(watcher, device)
    for episode in range(1, COUNT + 1):
        supervisor.see_through(episode, success=episode % 2 == 0)
    watcher.wait_for(lambda: launched.poll() is not None, "the launch to end")
    assert launched.returncode == 0, (tmp_path / "launch.log").read_text()[-4000:]
    device.close()

    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    assert [result["episode"] for result in results] == list(range(1, COUNT + 1))
    labelled = [result for result in results if result["label_source"] == "human"]
    assert len(labelled) >= 2
    for result in labelled:
        assert result["outcome"] == ("success" if result["episode"] % 2 == 0 else "failure")
    taken = [result for result in results if result["human_ticks"]]
    assert len(taken) >= 2

    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["interventions"]["episodes"] == len(taken)
    assert report["interventions"]["takeovers"] >= len(taken)
    assert report["interventions"]["ticks"] == sum(result["human_ticks"] for result in results)
    assert report["transitions"]["human"] > 0
    assert report["transitions"]["lost"] == report["transitions"]["duplicated"] == 0

    # From the first tick of a takeover to its last no policy acts, and it begins with a blend.
    for episode in (result["episode"] for result in taken if result["interventions"] == 1):
        sources = [step.source for step in watcher.steps if step.episode == episode]
        first = sources.index(Source.BLEND)
        last = len(sources) - 1 - sources[::-1].index(Source.HUMAN)
        assert set(sources[first:last]) <= {Source.BLEND, Source.HUMAN, Source.HOLD}
    kinds = {state.kind for state in watcher.states}
    assert {EpisodeKind.WARMUP, EpisodeKind.TRAIN, EpisodeKind.EVAL} <= kinds
