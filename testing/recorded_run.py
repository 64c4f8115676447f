"""A run's log on disk, with the real model's contract, as the recorder leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlt_core.contract import Contract
from rlt_core.log.sqlite_log import LOG_FILE, DurableLog
from rlt_core.log.windows import episode_end
from rlt_core.records import Commit, EpisodeKind, EpisodeState, Outcome, Phase, Source, Transition

MODEL = Path(__file__).resolve().parents[1] / "models" / "ethernet"
RUN = "run"


def window(
    contract: Contract, episode: int, step: int, commit: Commit = Commit.INSERT,
    source: Source = Source.BASE, kind: EpisodeKind = EpisodeKind.WARMUP, **changes: Any,
) -> Transition:
    """A window of random numbers, the same for the same episode and step."""
    rng = np.random.default_rng((episode, step))
    chunk, delay, axes = contract.chunk, contract.planning_delay_ticks, contract.action.size

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    fields = {
        "run": RUN, "episode": episode, "step": step, "seq": 0, "commit": commit, "kind": kind,
        "token": numbers(contract.token_size), "proprio": numbers(contract.proprio.size),
        "committed": numbers(delay, axes), "reference": numbers(chunk, axes),
        "actions": numbers(chunk, axes), "sources": np.full(chunk, source, np.uint8),
        "valid": chunk, "rewards": numbers(chunk), "terminated": False,
        "next_token": numbers(contract.token_size), "next_proprio": numbers(contract.proprio.size),
        "next_committed": numbers(delay, axes), "next_reference": numbers(chunk, axes),
        "policy_version": episode, "limited": rng.random(chunk) < 0.5,
    }
    return Transition(**{**fields, **changes})


def end(
    contract: Contract, episode: int, steps: int, outcome: Outcome,
    kind: EpisodeKind = EpisodeKind.WARMUP,
) -> Transition:
    """The commit that closes an episode."""
    state = EpisodeState(
        run=RUN, episode=episode, kind=kind, phase=Phase.ENDED, acting=Source.BASE, explore=False,
        seed=0, tick=steps, start_tick=0, end_tick=steps, outcome=outcome,
    )
    return episode_end(state, contract.action.size)


def some_commits(contract: Contract) -> list[Transition]:
    """An evaluation, a warm-up and a training episode with a person, a correction, an open one."""
    train = EpisodeKind.TRAIN
    return [
        end(contract, 1, 100, Outcome.SUCCESS, EpisodeKind.BASE_EVAL),
        *(window(contract, 2, step) for step in range(0, 40, 2)),
        end(contract, 2, 50, Outcome.FAILURE),
        *(window(contract, 3, step, kind=train, source=Source.ACTOR) for step in range(0, 20, 2)),
        window(contract, 3, 20, kind=train, source=Source.BLEND),
        window(
            contract, 3, 22, kind=train, source=Source.HUMAN, terminated=True, valid=8,
            outcome=Outcome.SUCCESS,
        ),
        window(contract, 3, 24, kind=train, terminated=True, valid=6, outcome=Outcome.SUCCESS),
        end(contract, 3, 30, Outcome.SUCCESS, train),
        window(contract, 4, 0, kind=train),
        window(contract, 2, 38, Commit.REVISION, terminated=True, outcome=Outcome.SUCCESS),
        window(contract, 2, 36, Commit.TOMBSTONE),
        end(contract, 2, 50, Outcome.SUCCESS),
        window(contract, 4, 2, kind=train),
    ]


@pytest.fixture(scope="session")
def contract() -> Contract:
    """A contract with a planning delay, so that no array is empty by accident."""
    return Contract.load(MODEL / "contract.json").replace(planning_delay_ticks=2)


@pytest.fixture(scope="session")
def commits(contract: Contract) -> list[Transition]:
    return some_commits(contract)


@pytest.fixture
def write_log(contract: Contract) -> Callable[[Path, Iterable[Transition]], DurableLog]:
    """Commits transitions to the log of a run folder; returns the log, still open."""

    def write(folder: Path, transitions: Iterable[Transition]) -> DurableLog:
        log = DurableLog(folder / LOG_FILE, RUN, contract)
        log.commit_all(transitions)
        return log

    return write
