"""Faults 43 and 44: the episodes node is gone, and a second graph of the same name."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

from launches import Launch

from rlt_core.control.control_loop import LEADER_SILENCE_S
from rlt_interfaces.msg import EpisodeState
from rlt_interfaces.srv import Abort
from rlt_node import launch_watch, qos

from .bench import STOP_S, Bench, Hold
from .chunks import CHUNK, TICK_S, quoted
from .people import labelled, running
from .rows import Make, row
from .watch import Watch

STILL_S = 0.5  # after the last heartbeat the robot stands still
GONE_S = 10.0
PAIRS, EPISODES = 10, 2
LATEST_S = 12.0  # about the time that the first of a pair takes
LAUNCH = """
import sys
from rlt_node import launch_watch
print(launch_watch.passport(), flush=True)
sys.stdin.read()
"""


@row(43, "the episodes node hangs (SIGSTOP), is killed, and finally its launch, too (kill -9)",
     "still within 0.5 s of its last heartbeat, latched until the next episode; the held episode "
     "is not judged; the nodes end with their launch", "dead process", ci=True)
def leader_gone(make: Make) -> str:
    launch = subprocess.Popen(
        [sys.executable, "-c", LAUNCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    bench = labelled(make, **{launch_watch.VARIABLE: launch.stdout.readline().strip()})
    bench.closing.append(launch.kill)
    beats: list[float] = []
    bench.listen(
        EpisodeState, "episode_heartbeat", qos.COMMAND,
        lambda _: beats.append(time.monotonic()),
    )
    leader = bench.graph.processes["episodes"].pid
    hung, line = silenced(bench, 1, leader, signal.SIGSTOP, beats)
    continued = time.monotonic()
    os.kill(leader, signal.SIGCONT)
    bench.wait(lambda: beats[-1] > continued, "the next heartbeat")
    bench.pass_ticks(5 * CHUNK)
    bench.no_policy(hung.at)
    assert bench.steps[-1].fault == "leader", "the episode would be judged"
    abort(bench)
    killed, _ = silenced(bench, 2, leader, signal.SIGKILL, beats)
    bench.pass_ticks(5 * CHUNK)
    bench.no_policy(killed.at)
    bench.judge()
    gone = time.monotonic()
    launch.kill()
    assert bench.graph.ended("chunk_controller", GONE_S) == 0, "did not end as on Ctrl-C"
    return (
        f"hung: hold {hung.delay:.2f} s after its last heartbeat, killed: {killed.delay:.2f} s; "
        f"back again it moved nothing before the next episode; the controller ended "
        f"{time.monotonic() - gone:.1f} s after the launch: {quoted(line)}"
    )


def silenced(
    bench: Bench, episode: int, leader: int, by: int, beats: list[float]
) -> tuple[Hold, str]:
    """Silence the episodes node in an episode; judge the hold, and return it with the log line."""
    bench.wait(lambda: running(bench, episode), f"episode {episode}")
    bench.steady()
    bench.quiet()
    bench.forgive()
    bench.mark()
    os.kill(leader, by)
    bench.pass_ticks(int(LEADER_SILENCE_S / TICK_S) // 2)  # what was on its way has arrived
    hold = bench.held(beats[-1], STILL_S - 2 * STOP_S, ticks=3 * CHUNK)
    return hold, bench.said_once("chunk_controller", "episode_state", "episodes node")


def abort(bench: Bench) -> None:
    """Abort the episode, as a person does."""
    client = bench.node("hand").create_client(Abort, "abort")
    bench.wait(client.service_is_ready, "the service")
    answer = client.call_async(Abort.Request())
    bench.wait(answer.done, "the answer")
    assert answer.result().success, answer.result().message


class Pairs(Watch):
    """Launches in one ROS domain, one run after another.

    Attributes:
        launches: All that were started.
    """

    def __init__(self, graph: Any) -> None:
        super().__init__(graph)
        self.launches: list[Launch] = []

    def start(self) -> Launch:
        """Start an evaluation in a folder of its own."""
        name = f"run{len(self.launches)}"
        self.launches.append(Launch(
            "evaluate.launch.py", self.graph.domain, self.graph.folder / name, "policy:=base",
            f"episodes:={EPISODES}",
        ))
        return self.launches[-1]

    def close(self) -> None:
        """End what still runs."""
        for launch in self.launches:
            launch.kill()


def recorded(launch: Launch) -> list[dict[str, Any]]:
    """What a run has recorded of its episodes, but for the time that it took."""
    lines = (launch.output / "episodes.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name != "wall_seconds"}
        for line in lines
    ]


@row(44, "two graphs of one name on one machine, the second started at a random moment",
     "the second refuses before it starts anything, and names the first; the first records the "
     "same as alone, and finishes", "stranger")
def second_graph(make: Make) -> str:
    pairs = make(Pairs)
    alone = pairs.start()
    assert alone.ended() == 0, alone.printed
    expected, rng = recorded(alone), random.Random()
    assert len(expected) == EPISODES
    met = 0
    while met < PAIRS:
        pair = [pairs.start()]
        time.sleep(rng.uniform(0.0, LATEST_S))
        together = pair[0].process.poll() is None
        pair.append(pairs.start())
        codes = [launch.ended() for launch in pair]
        if not together or codes == [0, 0]:
            continue  # the first had finished before the second looked
        met += 1
        assert sorted(codes) == [0, 1], [launch.printed for launch in pair]
        first, second = sorted(pair, key=lambda launch: launch.process.returncode)
        said = next(line for line in second.printed.splitlines() if "another launch" in line)
        assert f"another launch, process {first.process.pid}, already runs" in said
        assert "process started with pid" not in second.printed and not second.output.exists()
        assert recorded(first) == expected, "the first noticed the second"
    return (
        f"{PAIRS} pairs: each first one finished with the same {EPISODES} episodes as alone, no "
        f"second one started a process or a folder: {quoted(said, 250)}"
    )
