"""Several busy learners on few cores: do they share the machine, or block each other by spinning?

Starts as many learners as there are cores plus one, lets them update at the same time, and prints
what each gets: with the thread settings that `env.sh` makes and the nodes keep (one thread,
passive waiting), and with torch's own defaults for comparison. Exits with 1 if with our settings
the learners together do less than the goal's share of what one does alone.

    python benchmarks/oversubscription.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import torch
from learner import make_batch, make_contract

from rlt_core.rl.agent import Agent
from rlt_core.settings import AgentSettings

SECONDS = 8.0
GOAL = 0.7
OURS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


def work() -> None:
    """One learner: update for some seconds, print the rate."""
    contract, settings = make_contract(128), AgentSettings()
    agent = Agent(contract, np.full(4, 1.2, np.float32), settings, seed=0)
    batches = [make_batch(contract, settings.batch_size, seed) for seed in range(8)]
    agent.update(batches[0], actor=True)
    updates, started = 0, time.monotonic()
    while time.monotonic() - started < SECONDS:
        agent.update(batches[updates % len(batches)], actor=updates % 2 == 1)
        updates += 1
    print(updates / (time.monotonic() - started))


def together(count: int, ours: bool) -> list[float]:
    """Rates of `count` learners that run at the same time."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    command = [sys.executable, __file__, "work"]
    processes = [
        subprocess.Popen(command, env=environment | (OURS if ours else {}), stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    return [float(process.communicate()[0]) for process in processes]


def main() -> int:
    """Print the table; return the process's exit code."""
    cores = len(os.sched_getaffinity(0))
    alone = together(1, ours=True)[0]
    print(f"{cores} cores, torch {torch.__version__}; one learner alone: {alone:.0f} updates/s")
    shares = {}
    for name, ours in (("our settings", True), ("torch's defaults", False)):
        rates = together(cores + 1, ours)
        shares[name] = sum(rates) / alone
        row = ", ".join(f"{rate:.0f}" for rate in rates)
        print(f"{name:18} {cores + 1} learners: {row} updates/s; {shares[name]:.2f} x one alone")
    return int(shares["our settings"] < GOAL)


if __name__ == "__main__":
    work() if sys.argv[1:] == ["work"] else sys.exit(main())
