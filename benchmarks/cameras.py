"""What slow and late cameras cost: share of due observations published, held ticks, successes.

Runs the base policy on the simulated robot in real time, with cameras of a given rate and latency,
and counts for each pair: how many of the due observations the observer published, how many ticks of
running episodes the controller held after the first second of each, and how many episodes
succeeded. Prints the table; exits with 1 if fewer than 95 % of the due observations were published
for any pair.

    python benchmarks/cameras.py
    python benchmarks/cameras.py --episodes 20 --cameras 30:0.03
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "testing"))

from domains import claimed_domain  # noqa: E402
from graphs import MODEL, Graph, Watcher  # noqa: E402
from late_camera import LateCameras  # noqa: E402

from rlt_core.contract import Contract  # noqa: E402
from rlt_core.records import Source  # noqa: E402
from rlt_interfaces.msg import Observation  # noqa: E402
from rlt_node import qos  # noqa: E402

AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": 4}
CONTRACT = Contract.load(MODEL / "contract.json")
CAMERAS = [camera.name for camera in CONTRACT.cameras]
GOAL = 0.95
FIRST = 50  # ticks of an episode in which the policy may still wait for its first chunk
LIMIT_S = 600.0


def main() -> int:
    """Measure each camera; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=8, help="episodes with each camera")
    parser.add_argument(
        "--cameras", nargs="+", default=["50:0", "30:0", "30:0.03", "30:0.06"],
        help="rate in Hz and latency in s, as 30:0.03",
    )
    options = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average at the start {load:.1f}" + " (contended)" * (load > cores))
    print("| images, Hz | late, ms | observations of those due | ticks held | episodes succeeded |")
    print("| --- | --- | --- | --- | --- |")
    worst = 1.0
    for camera in options.cameras:
        rate, latency = map(float, camera.split(":"))
        with claimed_domain() as domain, tempfile.TemporaryDirectory() as folder:
            came, held, succeeded = measure(domain, Path(folder), rate, latency, options.episodes)
        worst = min(worst, came)
        print(
            f"| {rate:g} | {1e3 * latency:g} | {100 * came:.1f} % | {100 * held:.1f} % | "
            f"{succeeded} of {options.episodes} |", flush=True,
        )
    return int(worst < GOAL)


def measure(
    domain: int, folder: Path, rate: float, latency: float, episodes: int
) -> tuple[float, float, int]:
    """Share of due observations published, share of ticks held, and episodes that succeeded."""
    graph, watcher = Graph(domain, folder), Watcher(domain)
    cameras = LateCameras(domain, CAMERAS, rate, latency)
    seen: set[int] = set()
    watcher.node.create_subscription(
        Observation, "observation", lambda message: seen.add(message.tick), qos.BARRIER
    )
    try:
        graph.start("policy", **AGREED)
        graph.start("simulator", *LateCameras.remapping(CAMERAS), mode="real_time", stride=1)
        graph.start("observer", **AGREED)
        graph.start("chunk_controller", **AGREED)
        graph.start(
            "episodes", job="evaluate_base", base_eval_episodes=episodes,
            output=str(folder / "run"), **AGREED,
        )
        watcher.wait_for(
            lambda: graph.processes["episodes"].poll() is not None, "the run to end", LIMIT_S
        )
        lines = (folder / "run" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    finally:
        cameras.close()
        graph.end()
        watcher.close()
    ticks = Counter()
    running = []
    for step in watcher.steps:
        ticks[step.episode] += 1
        if step.episode and ticks[step.episode] > FIRST:
            running.append(step)
    due = {step.tick for step in running if step.tick % CONTRACT.stride == 0}
    held = sum(step.source == Source.HOLD for step in running) / len(running)
    outcomes = [json.loads(line)["outcome"] for line in lines]
    return len(due & seen) / len(due), held, outcomes.count("success")


if __name__ == "__main__":
    sys.exit(main())
