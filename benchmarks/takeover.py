"""How fast a person takes over the robot, and whether the policy ever acts after that.

Presses the takeover button of a real graph (operator, observer, policy, chunk_controller as
processes, a robot that logs its set-points) at random phases: in the middle of a chunk, while the
policy computes one, and while it takes in new weights. For every press it counts

- the policy's ticks that were sent after the command was received: there must be none. A node
  beside the controller also receives the command; a tick that was sent more than 2 ms later counts;
- the time and the control ticks from the joystick's message to the first tick that the person
  decides (the very next tick is 1).

The set-points are judged as in the fault table: within velocity and acceleration limits at every
tick. Prints percentiles and exits with 1 if a goal is missed.

    python benchmarks/takeover.py
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "testing"))

from domains import claimed_domain  # noqa: E402
from faults.bench import PERSON, POLICY, Bench, Step  # noqa: E402
from faults.hand import TAKEOVER, Hand  # noqa: E402
from faults.people import start_operator, weights  # noqa: E402
from graphs import Graph  # noqa: E402

from rlt_core.records import EpisodeKind  # noqa: E402
from rlt_interfaces.msg import HumanCommand, PolicyInfo, PolicyWeights  # noqa: E402
from rlt_node import qos  # noqa: E402

MOMENTS = ("in a chunk", "in inference", "in a weight swap")
AIM_S = 0.01  # a press that aims at a moment comes at most this much later
SAME_MOMENT_S = 0.002
GOAL_P50, GOAL_P99 = 1.0, 2.0


@dataclass(frozen=True)
class Pressed:
    """One press: its moment, how long and how many ticks it took, and what came after it."""

    moment: str
    milliseconds: float
    ticks: int
    policy_ticks: int
    jump: float


def main() -> int:
    """Press; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=500, help="how often the button is pressed")
    presses = parser.parse_args().presses
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average at the start {load:.1f}" + " (contended)" * (load > cores))
    with claimed_domain() as domain, tempfile.TemporaryDirectory() as folder:
        graph = Graph(domain, Path(folder))
        bench = Bench(graph, policy=False)
        try:
            rows = _measure(bench, presses)
            late = bench.arm.worst_lateness
            bench.pass_ticks(1)
            bench.judge_setpoints()
        finally:
            bench.close()
            graph.end()
    _print(rows)
    print(f"set-points: all within limits; the bench itself was at most {1e3 * late:.0f} ms late")
    ticks = np.array([row.ticks for row in rows])
    missed = [
        text for text, reached in (
            (f"p50 <= {GOAL_P50:g} tick", np.percentile(ticks, 50) <= GOAL_P50),
            (f"p99 <= {GOAL_P99:g} ticks", np.percentile(ticks, 99) <= GOAL_P99),
            ("no policy tick", not sum(row.policy_ticks for row in rows)),
        ) if not reached
    ]
    print(f"goals missed: {', '.join(missed) or 'none'}")
    return int(bool(missed))


def _measure(bench: Bench, presses: int) -> list[Pressed]:
    """Start the graph and press."""
    publisher = bench.publisher(PolicyWeights, "policy_weights", qos.LATEST)
    info = bench.heard(PolicyInfo, "policy_info", qos.LATEST)
    commands: list[tuple[float, bool]] = []
    bench.listen(
        HumanCommand, "human_command", qos.COMMAND,
        lambda message: commands.append((time.time(), message.takeover)),
    )
    bench.start("policy", "observer", "chunk_controller")
    hand = start_operator(bench)
    bench.wait(lambda: info, "the policy")
    prepared = [weights(bench, version) for version in range(1, presses // len(MOMENTS) + 2)]
    publisher.publish(prepared.pop(0))
    bench.drive(EpisodeKind.TRAIN)
    rng, rows = np.random.default_rng(0), []
    for number in range(presses):
        moment = MOMENTS[number % len(MOMENTS)]
        _wait_for_moment(bench, moment, rng, publisher, prepared)
        hand.stick = float(rng.choice([-0.5, 0.5]))
        rows.append(_press(bench, hand, commands, moment))
        hand.stick = 0.0
        hand.release(TAKEOVER)
        try:
            bench.wait(lambda: bench.steps[-1].source in POLICY, "the policy")
        except AssertionError:
            print("\n".join(bench.logged("WARN", "ERROR")[-20:]))
            raise
    return rows


def _wait_for_moment(
    bench: Bench, moment: str, rng: np.random.Generator, publisher: Any, prepared: list[Any]
) -> None:
    """Let a random part of a chunk pass, then wait for the moment."""
    chunk = bench.contract.chunk
    time.sleep(rng.uniform(0.0, chunk * bench.contract.dt))
    if moment == MOMENTS[1]:
        bench.wait(lambda: bench.steps[-1].tick % chunk == 0, "a chunk boundary")
    if moment == MOMENTS[2] and prepared:
        publisher.publish(prepared.pop(0))
    if moment != MOMENTS[0]:
        time.sleep(rng.uniform(0.0, AIM_S))


def _press(
    bench: Bench, hand: Hand, commands: list[tuple[float, bool]], moment: str
) -> Pressed:
    """Press once and see what follows until the person has driven for a while."""
    known = len(commands)
    wall = time.time()
    pressed = hand.press(TAKEOVER)
    bench.wait(lambda: any(s.source in PERSON for s in bench.since(pressed)), "the takeover")
    bench.pass_ticks(8)
    later = bench.since(pressed - 0.1)
    received = next(at for at, takeover in commands[known:] if takeover)
    first = next(step for step in later if step.source in PERSON and step.at > pressed)
    before = [step for step in later if step.stamp <= wall]
    policy = [s for s in later if s.source in POLICY and s.stamp > received + SAME_MOMENT_S]
    return Pressed(
        moment, 1e3 * (first.stamp - wall), first.tick - before[-1].tick, len(policy),
        _largest_change(later),
    )


def _largest_change(steps: list[Step]) -> float:
    """Largest change of the increment between two ticks, m."""
    increments = np.array([step.increment[:3] for step in steps])
    return float(np.abs(np.diff(increments, axis=0)).max())


def _print(rows: list[Pressed]) -> None:
    print(
        "| press | presses | ms p50 | p99 | max | ticks p50 | p99 | max | policy ticks "
        "| increment changed by at most, mm |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in (*MOMENTS, "all"):
        chosen = [row for row in rows if name in (row.moment, "all")]
        if not chosen:
            continue
        took = np.array([row.milliseconds for row in chosen])
        ticks = np.array([row.ticks for row in chosen])
        cells = [name, str(len(chosen))]
        cells += [f"{value:.1f}" for value in (*np.percentile(took, [50, 99]), took.max())]
        cells += [f"{value:.0f}" for value in (*np.percentile(ticks, [50, 99]), ticks.max())]
        cells += [str(sum(row.policy_ticks for row in chosen))]
        cells += [f"{1e3 * max(row.jump for row in chosen):.2f}"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(main())
