"""Exactly once: keyed transitions through a real recorder and a real learner under faults.

The two run on two machines (network namespaces) and are killed and stopped, the link between them
is cut, the recorder's disk is full. A seeded robot publishes what policy, controller and episodes
would. Afterwards the script compares, by key and every bit of content: what a recorder commits that
receives everything, what was published as committed (acknowledged), and the log; and the learner's
checkpoint with a trainer that took in the log once, without a fault. Prints a table; exits with 1
if anything acknowledged was lost, anything doubled or changed, or windows were missed silently: in
episodes longer than the topics' history a stopped recorder misses some, and must report it. Needs
root and iproute2.

    python benchmarks/exactly_once.py [--rate 25] [--count 10000] [--faults each|all|NAME ...]
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.records import Transition

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testing"))
from domains import claimed_domain
from graphs import Graph
from machines import TwoMachines
from seeded_robot import (
    MODEL,
    Robot,
    content,
    kill,
    read_log,
    start_learner,
    start_recorder,
    trained_on,
)
from small_disk import small_disk

EVERY_S = 20.0  # time between the beginnings of faults
OUTAGE_S = 10.0  # duration of a fault that is not over at once
TOPIC_KEEPS = 1000  # records, for a recorder that is away: an episode of that many ticks is safe
DISK_MIB = 100
SETTLE_S = 300.0


class Faults:
    """The faults of the graph; all but a kill end by themselves after OUTAGE_S.

    Attributes:
        done: How often each was done, by name.
    """

    def __init__(self, graph: Graph, machines: TwoMachines, recorded: Path, learnt: Path) -> None:
        """Start nothing.

        Args:
            graph: The processes.
            machines: Where they run.
            recorded: Output folder of the recorder, on a disk that may be filled.
            learnt: Output folder of the learner.
        """
        self.done: Counter[str] = Counter()
        self._graph, self._machines = graph, machines
        self._recorded, self._learnt = recorded, learnt
        self._ending: threading.Timer | None = None
        self.kinds: dict[str, Callable[[], Callable[[], None] | None]] = {
            "learner-killed": lambda: self._kill("learner"),
            "recorder-killed": lambda: self._kill("recorder"),
            "learner-stopped": lambda: self._stop("learner"),
            "recorder-stopped": lambda: self._stop("recorder"),
            "link-cut": self._cut,
            "disk-full": self._fill,
        }

    def do(self, name: str) -> None:
        """Begin a fault, once the one before it is over."""
        self.wait()
        self.done[name] += 1
        end = self.kinds[name]()
        if end is not None:
            self._ending = threading.Timer(OUTAGE_S, end)
            self._ending.start()

    def wait(self) -> None:
        """Wait for the end of the last fault."""
        if self._ending is not None:
            self._ending.join()

    def start(self, name: str) -> None:
        """Start a node, or start it again."""
        if name == "recorder":
            start_recorder(self._graph, self._recorded)
        else:
            start_learner(self._graph, self._learnt)

    def _kill(self, name: str) -> None:
        kill(self._graph.processes[name])
        self.start(name)

    def _stop(self, name: str) -> Callable[[], None]:
        process = self._graph.processes[name]
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT)

    def _cut(self) -> Callable[[], None]:
        self._machines.cut()
        return self._machines.reconnect

    def _fill(self) -> Callable[[], None]:
        """Write zeros until no block is left."""
        filler = self._recorded.parent / "filler"
        with open(filler, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue
        return filler.unlink


@dataclass(frozen=True)
class Findings:
    """The results of a run: numbers of commits.

    Attributes:
        possible: What a recorder commits that receives everything.
        committed: What the log holds.
        acknowledged: What was published as committed.
        received: What the learner has taken in.
        lost: Acknowledged and not in the log, or committed and not received.
        duplicated: Key and kind of commit twice in the log, or received twice.
        corrupted: In the log with other bits than what was sent, or what was acknowledged.
        exact: Whether the learner's weights are those of a trainer without a fault, bit for bit.
        said: How many windows the recorder reports as missed.
    """

    possible: int
    committed: int
    acknowledged: int
    received: int
    lost: int
    duplicated: int
    corrupted: int
    exact: bool
    said: int

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled, changed or missing unreported."""
        spoilt = self.lost or self.duplicated or self.corrupted
        silent = self.possible > self.committed and not self.said
        return self.exact and not (spoilt or silent)


def compare(robot: Robot, log: list[Transition], learnt: Path, said: int) -> Findings:
    """Compare by key and content what was sent, acknowledged, committed and learnt from."""
    possible = {(t.commit, t.key): content(t) for t in robot.expected}
    keys = Counter((t.commit, t.key) for t in log)
    by_seq = {t.seq: content(t) for t in log}
    acknowledged = {t.seq: content(t) for t in robot.heard}
    changed = sum(possible.get((t.commit, t.key)) != content(t) for t in log)
    changed += sum(seq in by_seq and by_seq[seq] != found for seq, found in acknowledged.items())
    expected, _ = trained_on(log, robot.contract).state_dict()
    found, meta = checkpoint.load(learnt / "checkpoint")
    received = robot.learner.received
    return Findings(
        possible=len(possible), committed=len(log), acknowledged=len(acknowledged),
        received=received,
        lost=len(acknowledged.keys() - by_seq.keys()) + max(len(log) - received, 0),
        duplicated=sum(keys.values()) - len(keys) + max(received - len(log), 0),
        corrupted=changed,
        exact=meta["trainer"]["runs"]["run"]["folded_seq"] == len(log)
        and all(torch.equal(found[name], expected[name]) for name in expected),
        said=said,
    )


def missed(recorder_log: str) -> int:
    """How many windows the recorder's processes reported as missed."""
    counts = [int(n) for n in re.findall(r"(\d+) windows could not be made", recorder_log)]
    # Each process counts on from 0.
    return sum(n for n, after in itertools.pairwise([*counts, 0]) if after <= n)


def run(
    folder: Path, rate: float, count: int, ticks: int, kinds: list[str]
) -> tuple[Faults, Findings, float]:
    """Let a robot publish `count` windows while faults are injected in turn; compare.

    Args:
        folder: An empty folder.
        rate: Windows a second.
        count: How many, at least.
        ticks: Length of every episode.
        kinds: Names of the faults, empty for a run without faults.

    Returns:
        The faults injected, the findings, and commits a second while episodes ran.
    """
    contract = Contract.load(MODEL / "contract.json")
    tick_rate = rate * contract.stride
    with ExitStack() as stack:
        machines = TwoMachines()
        stack.callback(machines.close)
        os.environ |= machines.discovery(folder)
        domain = stack.enter_context(claimed_domain())
        graph = Graph(domain, folder)
        stack.callback(graph.end)
        graph.places = {"recorder": machines.robot.command, "learner": machines.trainer.command}
        disk = stack.enter_context(small_disk(folder / "robot", DISK_MIB))
        recorded, learnt = disk / "run", folder / "trainer"
        stack.enter_context(machines.robot.entered())
        robot = Robot(domain, contract, ticks=ticks, rate_hz=tick_rate)
        stack.callback(robot.close)
        faults = Faults(graph, machines, recorded, learnt)
        stack.callback(faults.wait)
        faults.start("recorder")
        faults.start("learner")
        robot.wait_for(lambda: robot.recorder.run == robot.learner.run == "run", "both nodes")
        try:
            turns = itertools.cycle(kinds) if kinds else None
            seconds = _publish(robot, count, ticks, turns, faults)
            faults.wait()
            log = _settled(robot, recorded)
        except AssertionError:
            print(robot.recorder, robot.learner, file=sys.stderr)
            print(graph.log("recorder")[-4000:], graph.log("learner")[-4000:], file=sys.stderr)
            raise
        graph.stop("learner")
        findings = compare(robot, log, learnt, missed(graph.log("recorder")))
        return faults, findings, len(log) / seconds


def _publish(
    robot: Robot, count: int, ticks: int, kinds: Iterator[str] | None, faults: Faults
) -> float:
    """Publish episodes with a fault every EVERY_S; return how long they ran, s."""
    seconds, begun = 0.0, time.monotonic()
    due = begun + EVERY_S / 2

    def look() -> None:
        nonlocal due
        if kinds is not None and time.monotonic() >= due:
            due += EVERY_S
            faults.do(next(kinds))

    for number in itertools.count(1):
        started = time.monotonic()
        robot.run_episode(number, dict.fromkeys(range(ticks), look))
        seconds += time.monotonic() - started
        robot.closed(number)
        if len(robot.expected) >= count:
            return seconds
    raise AssertionError


def _settled(robot: Robot, recorded: Path) -> list[Transition]:
    """Wait until the learner has learnt from the complete log; return it."""
    log = read_log(recorded, robot.contract)
    robot.wait_for(
        lambda: robot.learner.ingested_seq == len(log) and robot.learner.updates_owed < 1,
        "the learner's last updates", SETTLE_S,
    )
    robot.wait_for(lambda: len({t.seq for t in robot.heard}) == len(log), "the last commits")
    return log


def main() -> int:
    """Run the scenarios, print the table; return the process's exit code."""
    names = list(Faults(None, None, Path(), Path()).kinds)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rate", type=float, default=25.0, help="transitions a second")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=TOPIC_KEEPS, help="length of an episode")
    parser.add_argument(
        "--faults", nargs="+", default=["all"], choices=["none", "each", "all", *names],
        help="one run without, one per fault, one with all in turn, or one per name",
    )
    parser.add_argument("--folder", type=Path, default=Path("."), help="for the runs' files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wanted = {"none": [[]], "all": [names], "each": [[name] for name in names]}
    sound = True
    print("| rate | faults | possible | committed | reported missed | acknowledged | received "
          "| lost | duplicated | corrupted | weights | commits/s | wall s |\n|" + " --- |" * 13,
          flush=True)
    for choice in arguments.faults:
        for kinds in wanted.get(choice, [[choice]]):
            started = time.monotonic()
            with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="once-") as made:
                faults, f, rate = run(
                    Path(made), arguments.rate, arguments.count, arguments.ticks, kinds
                )
            done = ", ".join(f"{n} x {name}" for name, n in faults.done.items()) or "none"
            print(
                f"| {arguments.rate:g}/s | {done} | {f.possible} | {f.committed} | {f.said} "
                f"| {f.acknowledged} | {f.received} | {f.lost} | {f.duplicated} | {f.corrupted} "
                f"| {'exact' if f.exact else 'DIFFER'} | {rate:.1f} "
                f"| {time.monotonic() - started:.0f} |",
                flush=True,
            )
            sound = sound and f.sound
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main())
