"""How long a policy step takes, and how much of it is not the VLA.

Runs the shipped policy at chunk boundaries with an untrained actor, one thread, and times the
VLA's two calls within the step; what remains is the RL token, the state's encoding, the actor, the
exploration noise and the wrapping of the chunk. Prints percentiles and exits with 1 if the median
of that remainder is above the goal.

    python benchmarks/policy_step.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlt_core.control.motion_limits import normalised_bound
from rlt_core.records import EpisodeKind, EpisodeState, Observation, Phase, Source
from rlt_core.rl.agent import Agent
from rlt_core.rl.policy_step import PolicyStep
from rlt_core.vla.base import VLA
from rlt_core.vla.model import load_model
from rlt_sim.defaults import installed
from rlt_sim.world import make_world

GOAL_MS = 3.0
WARM_UP = 20


class Stopwatch:
    """The VLA's two calls, timed; everything else is passed through."""

    def __init__(self, vla: VLA) -> None:
        """Wrap a VLA."""
        self._vla = vla
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        """The VLA's own attributes."""
        return getattr(self._vla, name)

    def embed(self, observations: Sequence[Observation]) -> Any:
        """`VLA.embed`, timed."""
        return self._timed(self._vla.embed, observations)

    def sample(self, *arguments: Any) -> Any:
        """`VLA.sample`, timed."""
        return self._timed(self._vla.sample, *arguments)

    def _timed(self, call: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = call(*arguments)
        self.seconds += time.perf_counter() - started
        return result


def main() -> int:
    """Time the steps; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="chunk boundaries to time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    defaults = installed("ethernet")
    vla, encoder, contract = load_model(Path(defaults.model))
    stopwatch = Stopwatch(vla)
    policy = PolicyStep(stopwatch, encoder, contract, defaults.agent)  # type: ignore[arg-type]
    bound = normalised_bound(defaults.limits, contract)
    policy.set_weights(1, Agent(contract, bound, defaults.agent, seed=0).actor_state())
    world = make_world("ethernet", **defaults.world)
    world.reset(0)
    state = EpisodeState(
        "benchmark", 1, EpisodeKind.TRAIN, Phase.RUNNING, Source.ACTOR, True, 0, 0, 0
    )
    rows = []
    for step in range(WARM_UP + arguments.steps):
        robot = world.state()
        proprio = np.concatenate([robot.tcp, robot.wrench]).astype(np.float32)
        observation = Observation(step * contract.chunk, world.render(), proprio)
        stopwatch.seconds, started = 0.0, time.perf_counter()
        policy.observe(observation, state)
        total = time.perf_counter() - started
        rows.append((total, stopwatch.seconds, total - stopwatch.seconds))
    milliseconds = 1e3 * np.array(rows[WARM_UP:])
    print("| ms | p50 | p95 | p99 |\n| --- | --- | --- | --- |")
    for name, column in zip(("step", "VLA", "rest"), milliseconds.T, strict=True):
        p50, p95, p99 = np.percentile(column, [50, 95, 99])
        print(f"| {name} | {p50:.2f} | {p95:.2f} | {p99:.2f} |")
    return int(np.median(milliseconds[:, 2]) > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
