"""What durability costs: commits, reload, checkpoints; and what remains after a kill.

Measures commits of the durable log against the same bytes appended to a file with `fdatasync`, in
turn, on the same disk; the log read back into the replay buffer, from the file and as a learner
process gets it from a recorder process; updates of the learner while its checkpoints are written;
and a process killed at random bytes of a checkpoint. Exits with 1 if a goal is missed.

    python benchmarks/durability.py [--folder DISK] [--commits 1000] [--reload 100000] [--kills 50]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from learner import make_batch, make_contract

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.log.packing import Packing
from rlt_core.log.sqlite_log import LOG_FILE, DurableLog, StoredLog
from rlt_core.log.stream import Stream
from rlt_core.log.transition_log import pages
from rlt_core.records import Commit, EpisodeKind, Source, Transition
from rlt_core.rl.agent import Agent
from rlt_core.rl.trainer import Trainer
from rlt_core.settings import AgentSettings
from rlt_learner.learner.checkpoint_writer import CheckpointWriter
from rlt_learner.learner.checkpoints import Checkpoints

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testing"))
from domains import claimed_domain
from graphs import Graph
from seeded_robot import MODEL, Robot, new_trainer, start_learner, start_recorder

TOKEN = 128
COMMIT_GOAL = 0.7  # of the rate of raw appends
RELOAD_GOAL_S = 5.0
SERVED_GOAL_S = 30.0
BLOCK = 2000
DELAY_GOAL = 1.0  # delay of an update by a checkpoint, in updates
UPDATES = 300
BETWEEN = 25  # updates between two checkpoints: more often than any episode ends


def transitions(contract: Contract, count: int) -> list[Transition]:
    """Windows of random numbers."""
    rng = np.random.default_rng(0)
    axes = contract.action.size

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return [
        Transition(
            run="run", episode=1 + step // 100, step=2 * step, seq=0, commit=Commit.INSERT,
            kind=EpisodeKind.TRAIN, token=numbers(contract.token_size),
            proprio=numbers(contract.proprio.size),
            committed=numbers(contract.planning_delay_ticks, axes),
            reference=numbers(contract.chunk, axes), actions=numbers(contract.chunk, axes),
            sources=np.full(contract.chunk, Source.ACTOR, np.uint8), valid=contract.chunk,
            rewards=np.zeros(contract.chunk, np.float32), terminated=False,
            next_token=numbers(contract.token_size), next_proprio=numbers(contract.proprio.size),
            next_committed=numbers(contract.planning_delay_ticks, axes),
            next_reference=numbers(contract.chunk, axes),
            limited=np.zeros(contract.chunk, np.bool_),
        )
        for step in range(count)
    ]


def commit_rate(folder: Path, contract: Contract, count: int) -> bool:
    """Durable commits against raw appends of the same bytes, in turn."""
    log = DurableLog(folder / LOG_FILE, "run", contract)
    packing = Packing(contract)
    raw = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ours, theirs = [], []
    for transition in transitions(contract, count):
        started = time.perf_counter()
        log.commit(transition)
        ours.append(time.perf_counter() - started)
        data = packing.pack(transition)
        started = time.perf_counter()
        os.write(raw, data)
        os.fdatasync(raw)
        theirs.append(time.perf_counter() - started)
    os.close(raw)
    log.close()
    ratio = sum(theirs) / sum(ours)
    print(
        f"durable commits: {count / sum(ours):.0f}/s, p99 {1e3 * np.percentile(ours, 99):.1f} ms; "
        f"append + fdatasync of the same {len(data)} bytes: {count / sum(theirs):.0f}/s; "
        f"ratio {ratio:.2f} (goal {COMMIT_GOAL})"
    )
    return ratio >= COMMIT_GOAL


def reload_time(folder: Path, contract: Contract, count: int) -> bool:
    """Read a log back into a resumed trainer; every row and the complete chain are checked."""
    write_log(folder, contract, count)
    stored = StoredLog(folder / LOG_FILE)
    trainer = gone_on(contract, stored)
    started = time.perf_counter()
    for page in pages(stored):
        for transition in page:
            trainer.ingest(transition)
        trainer.work()
    seconds = time.perf_counter() - started
    assert len(trainer.replay) == count and not trainer.rebuilding
    megabytes = (folder / LOG_FILE).stat().st_size / 1e6
    print(f"reload of {len(stored)} commits ({megabytes:.0f} MB) into the replay buffer: "
          f"{seconds:.2f} s (goal {RELOAD_GOAL_S:g} s)")
    return seconds < RELOAD_GOAL_S


def gone_on(contract: Contract, log: StoredLog) -> Trainer:
    """A trainer resumed from a checkpoint that had learnt from all of a log."""
    stream = Stream(log.run, Packing(contract))
    for page in pages(log):
        for transition in page:
            stream.accept(transition)
            stream.take()
    trainer = new_trainer(contract)
    tensors, counters = trainer.state_dict()
    runs = {log.run: stream.state_dict()}
    trainer.load_state_dict(tensors, counters | {"runs": runs, "version": 1})
    return trainer


def write_log(folder: Path, contract: Contract, count: int) -> None:
    """Fill a log with windows that all have keys of their own."""
    log = DurableLog(folder / LOG_FILE, "run", contract)
    for block in _blocks(contract, count):
        log.commit_all(block)
    log.close()


def _blocks(contract: Contract, count: int) -> Iterator[list[Transition]]:
    some = transitions(contract, BLOCK)
    for begun in range(0, count, BLOCK):
        yield [
            dataclasses.replace(t, episode=t.episode + begun) for t in some[: count - begun]
        ]


def served_reload_time(folder: Path, count: int) -> bool:
    """Reload in a learner resumed from its checkpoint: page by page from the recorder's process."""
    contract, output = Contract.load(MODEL / "contract.json"), folder / "run"
    write_log(output, contract, count)
    trainer = gone_on(contract, StoredLog(output / LOG_FILE))
    checkpoints = Checkpoints(output / "checkpoint", trainer, contract, print)
    checkpoints.save().result()
    checkpoints.close()
    with ExitStack() as stack:
        domain = stack.enter_context(claimed_domain())
        graph = Graph(domain, folder)
        stack.callback(graph.end)
        robot = Robot(domain, contract)
        stack.callback(robot.close)
        started = time.perf_counter()
        start_recorder(graph, output)
        robot.wait_for(lambda: robot.recorder.committed == count, "the recorder")
        opened = time.perf_counter()
        start_learner(graph, output)
        robot.wait_for(lambda: robot.learner.run == "run", "the learner")
        up = time.perf_counter()
        robot.wait_for(lambda: robot.learner.ingested_seq == count, "replay")
        seconds = time.perf_counter() - up
    print(
        f"the same from a recorder's process to a learner's: {seconds:.1f} s (goal "
        f"{SERVED_GOAL_S:g} s), after {opened - started:.1f} s in which the recorder started and "
        f"read its log, and {up - opened:.1f} s in which the learner started"
    )
    return seconds < SERVED_GOAL_S


def update_delay(folder: Path, contract: Contract) -> bool:
    """Durations of updates, with and without checkpoints that are written beside them."""
    agent = Agent(contract, np.full(4, 1.2, np.float32), AgentSettings(), seed=0)
    batches = [make_batch(contract, 128, seed) for seed in range(8)]
    writer = CheckpointWriter(folder, print)
    durations: dict[bool, list[float]] = {False: [], True: []}
    for update in range(2 * UPDATES):
        saving = update // BETWEEN % 2 == 1  # in turn
        started = time.perf_counter()
        if saving and update % BETWEEN == 0:
            writer.offer(agent.state_dict(), {"version": update})
        agent.update(batches[update % len(batches)], actor=update % 2 == 1)
        durations[saving].append(time.perf_counter() - started)
    writer.close()
    usual = statistics.median(durations[False])
    quiet, worst = (np.percentile(durations[saving], 99.5) for saving in (False, True))
    delay = (worst - quiet) / usual
    print(
        f"an update takes {1e3 * usual:.1f} ms, its longest (p99.5) {1e3 * quiet:.1f} ms without "
        f"and {1e3 * worst:.1f} ms with a checkpoint: a delay of {delay:.2f} updates "
        f"(goal {DELAY_GOAL:g})"
    )
    return delay <= DELAY_GOAL


def kills(folder: Path, contract: Contract, count: int) -> bool:
    """Whether the previous generation loads bit-exactly after kills at random bytes of a write."""
    agent = Agent(contract, np.full(4, 1.2, np.float32), AgentSettings(), seed=0)
    batch, rng, exact = make_batch(contract, 128, 0), random.Random(0), 0
    for version in range(1, count + 1):
        state = agent.state_dict()
        checkpoint.save(folder, state, {"version": version})
        agent.update(batch, actor=True)
        killed = _killed_while_saving(folder, agent.state_dict(), rng)
        tensors, meta, fault = checkpoint.recover(folder)
        exact += (
            killed and meta["version"] == version and not fault
            and all(torch.equal(tensors[name], state[name]) for name in state)
        )
    print(f"killed at {count} random bytes of a checkpoint: the previous one loaded bit-exactly "
          f"{exact} times (goal {count})")
    return exact == count


def _killed_while_saving(
    folder: Path, tensors: dict[str, torch.Tensor], rng: random.Random
) -> bool:
    """Save in a child process that the kernel ends at a random byte; return whether it did."""
    size = len(checkpoint.encode(tensors)[0])
    offset = rng.randrange(size)
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (offset, size))
            checkpoint.save(folder, tensors, {"version": -1})
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ


def main() -> int:
    """Print the figures; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("."), help="a folder on the disk")
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--reload", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    contract = make_contract(TOKEN)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="durability-") as made:
        folder = Path(made)
        reached = [
            commit_rate(folder / "commits", contract, arguments.commits),
            reload_time(folder / "reload", contract, arguments.reload),
            served_reload_time(folder / "served", arguments.reload),
            update_delay(folder / "delay", contract),
            kills(folder / "kills", contract, arguments.kills),
        ]
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores:
        print(f"contended: load {load:.1f} on {cores} cores; repeat it on an idle machine")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
