"""A cut link: a complete robot in real time on one machine, its learner on another.

The machines are network namespaces, the link a veth pair; the simulated robot's nodes are the real
ones. The link is cut for a minute and restored. Prints the control rate before and during the cut,
and how long the learner took to catch up; compares what was published with the log, and the
learner's weights with those of a trainer that took in the log at once. Exits with 1 if something
acknowledged was lost or changed, a tick is missing, or catching up took more than twice the outage.
Needs root and iproute2.

    python benchmarks/link.py [--outage 60]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.records import Source
from rlt_interfaces import msg
from rlt_node import qos
from rlt_node.conversions import transition_from_msg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testing"))
from domains import claimed_domain
from graphs import Graph, Watcher
from machines import TwoMachines
from seeded_robot import AGENT, MODEL, TRAINING, content, read_log, trained_on

DELAY_TICKS = 4
AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": DELAY_TICKS}
SCHEDULE = {
    "base_eval_episodes": 0, "episodes": 1000, "eval_episodes": 0, "time_limit_ticks": 150,
    "warmup_episodes": TRAINING["warmup_episodes"],
}
ROBOT = ("policy", "observer", "chunk_controller", "simulator", "recorder", "episodes")
BEFORE_S = 20.0
SETTLE_S = 1.0


class Robot(Watcher):
    """Receives what the robot's machine publishes, and when.

    Attributes:
        at: Monotonic time of each of `steps`.
        heard: Content of every commit that was published, by seq.
        recorder, learner: Their newest status.
    """

    def __init__(self, domain: int) -> None:
        """Subscribe."""
        super().__init__(domain)
        self.at: list[float] = []
        self.heard: dict[int, tuple[Any, ...]] = {}
        self.recorder, self.learner = msg.RecorderStatus(), msg.LearnerStatus()
        listen = self.node.create_subscription
        listen(
            msg.ControlStep, "control_step", lambda _: self.at.append(time.monotonic()), qos.LOG
        )
        listen(msg.Transition, "transitions", self._on_transition, qos.LOG)
        for kind, name in ((msg.RecorderStatus, "recorder"), (msg.LearnerStatus, "learner")):
            listen(
                kind, f"{name}_status", lambda m, name=name: setattr(self, name, m), qos.LATEST
            )

    def watch(self, seconds: float) -> Phase:
        """Record for a while."""
        steps, ended, committed = len(self.steps), self._ended(), self.committed
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.1)
        last = min(len(self.steps), len(self.at))
        return Phase(
            self.steps[steps:last], self.at[steps:last], self._ended() - ended,
            self.committed - committed,
        )

    @property
    def committed(self) -> int:
        """Highest seq that was published."""
        return max(self.heard, default=0)

    def _ended(self) -> int:
        return max((state.episode for state in self.states), default=0)

    def _on_transition(self, message: msg.Transition) -> None:
        self.heard[message.seq] = content(transition_from_msg(message))


@dataclass(frozen=True)
class Phase:
    """What the robot did for a while: its control steps and their times, episodes, commits."""

    steps: Sequence[msg.ControlStep]
    at: Sequence[float]
    episodes: int
    commits: int

    @property
    def missing(self) -> int:
        """Ticks of which no step was received."""
        return self.steps[-1].tick - self.steps[0].tick + 1 - len(self.steps)

    def __str__(self) -> str:
        """Its row of the table."""
        rate = (len(self.at) - 1) / (self.at[-1] - self.at[0])
        policy = np.mean([step.source in (Source.BASE, Source.ACTOR) for step in self.steps])
        gaps = 1e3 * np.quantile(np.diff(self.at), (0.5, 0.99, 1.0))
        return (
            f"{rate:.2f} | {self.missing} | {gaps[0]:.1f}, {gaps[1]:.1f}, {gaps[2]:.1f} "
            f"| {policy:.0%} | {self.episodes} | {self.commits}"
        )


def main() -> int:
    """Cut the link; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--outage", type=float, default=60.0, help="how long the link is cut, s")
    outage_s = parser.parse_args().outage
    torch.set_num_threads(1)
    with ExitStack() as stack:
        domain = stack.enter_context(claimed_domain())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="link-")))
        machines = TwoMachines()
        stack.callback(machines.close)
        os.environ |= machines.discovery(folder)
        graph = Graph(domain, folder)
        stack.callback(graph.end)
        graph.places = dict.fromkeys(ROBOT, machines.robot.command)
        graph.places["learner"] = machines.trainer.command
        stack.enter_context(machines.robot.entered())
        robot = Robot(domain)
        _start(graph, folder)
        try:
            robot.wait_for(lambda: robot.learner.policy_version > 1, "weights")
        except AssertionError:
            print(*(graph.log(name)[-800:] for name in graph.processes), sep="\n", file=sys.stderr)
            raise
        print("| link | ticks/s | missing | ms between ticks p50, p99, max | by the policy "
              "| episodes | commits |\n|" + " --- |" * 7)
        before = robot.watch(BEFORE_S)
        print(f"| up | {before} |", flush=True)
        machines.cut()
        robot.watch(SETTLE_S)  # until what was in flight has arrived
        received = robot.learner.received
        during = robot.watch(outage_s - SETTLE_S)
        print(f"| cut | {during} |", flush=True)
        unheard = robot.learner.received == received < robot.committed
        machines.reconnect()
        reconnected = time.monotonic()
        missed = robot.committed
        robot.wait_for(lambda: robot.learner.received >= missed, "the learner", 2.0 * outage_s)
        made_up_s = time.monotonic() - reconnected
        print(f"the learner received {'nothing' if unheard else 'SOMETHING'} for {outage_s:g} s, "
              f"and had all {missed - received} missed commits {made_up_s:.1f} s after the link "
              "was back")
        sound = _compare(robot, graph, folder)
    return int(not (sound and unheard and not before.missing and not during.missing))


def _start(graph: Graph, folder: Path) -> None:
    """Start the robot's nodes and the learner."""
    own: dict[str, dict[str, Any]] = {
        "learner": {**TRAINING, **AGENT, "output": str(folder / "trainer")},
        "policy": {"hidden_dim": AGENT["hidden_dim"]},
        "recorder": {"output": str(folder / "robot")},
        "episodes": {**SCHEDULE, "output": str(folder / "robot"), "run": "run"},
    }
    for name in ("learner", *ROBOT):
        agreed = {"mode": "real_time"} if name == "simulator" else AGREED
        graph.start(name, **agreed, **own.get(name, {}))


def _compare(robot: Robot, graph: Graph, folder: Path) -> bool:
    """End the run; compare what was published, the log and what the learner made of it."""
    graph.stop("episodes")
    graph.stop("recorder")
    contract = Contract.load(MODEL / "contract.json").replace(planning_delay_ticks=DELAY_TICKS)
    log = read_log(folder / "robot", contract)
    robot.wait_for(
        lambda: robot.learner.ingested_seq == len(log) and robot.learner.updates_owed < 1,
        "the learner's last updates",
    )
    graph.stop("learner")
    lost = len(robot.heard.keys() - {t.seq for t in log})
    corrupted = sum(robot.heard.get(t.seq, content(t)) != content(t) for t in log)
    doubled = len(log) - len({(t.commit, t.key) for t in log})
    found, meta = checkpoint.load(folder / "trainer" / "checkpoint")
    learnt = meta["trainer"]["runs"]["run"]["folded_seq"]  # up to the last complete episode's end
    expected, _ = trained_on(log[:learnt], contract).state_dict()
    exact = all(torch.equal(found[name], expected[name]) for name in expected)
    print(f"{len(log)} commits, {len(robot.heard)} received: {lost} lost, {doubled} "
          f"duplicated, {corrupted} corrupted; weights after commit {learnt} "
          f"{'exact' if exact else 'DIFFER'}")
    return exact and not (lost or corrupted or doubled)


if __name__ == "__main__":
    sys.exit(main())
