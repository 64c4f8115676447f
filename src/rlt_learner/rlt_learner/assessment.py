"""What pretraining's results are worth: the base policy on the task, embeddings under probes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from rlt_core.probe import ProbeResult, Samples, pca, ridge_probe
from rlt_core.records import FloatArray, Observation
from rlt_core.rl_token import TokenEncoder
from rlt_core.vla.tiny import TinyVLA
from rlt_learner.dataset import Frames
from rlt_learner.training import Budget
from rlt_sim.demonstrator import move_setpoint
from rlt_sim.world import World

CHUNK = 10
_FIRST_EVALUATION_SEED = 4_000_000_000


def evaluate_base(vla: TinyVLA, world: World, budget: Budget) -> dict[str, float | None]:
    """Success rate and speed of the base policy, replanning every C ticks, on seeds of its own."""
    lengths, successes = [], []
    for episode in tqdm(
        range(budget.evaluation_episodes), desc="base policy", unit="episode", mininterval=2.0
    ):
        ticks, success = _base_episode(
            vla, world, _FIRST_EVALUATION_SEED + episode, budget.evaluation_ticks
        )
        lengths.append(ticks if success else budget.evaluation_ticks)
        successes.append(success)
    solved = [ticks for ticks, success in zip(lengths, successes, strict=True) if success]
    return {
        "episodes": budget.evaluation_episodes,
        "time_limit_ticks": budget.evaluation_ticks,
        "success_rate": float(np.mean(successes)),
        "median_steps": float(np.median(lengths)),
        "median_steps_success": float(np.median(solved)) if solved else None,
        "p90_steps_success": float(np.quantile(solved, 0.9)) if solved else None,
    }


def embed(vla: TinyVLA, frames: Frames) -> torch.Tensor:
    """Embeddings (N, M, D) of all frames, in batches."""
    names = [camera.name for camera in vla.cameras]
    parts = []
    for start in tqdm(range(0, len(frames), 64), desc="embeddings", unit="batch", mininterval=2.0):
        batch = frames[start : start + 64]
        observations = [
            Observation(0, dict(zip(names, images, strict=True)), proprio)
            for images, proprio in zip(batch.images, batch.proprio, strict=True)
        ]
        parts.append(vla.embed(observations).embeddings)
    return torch.cat(parts).clone()


def tokens_of(encoder: TokenEncoder, embeddings: torch.Tensor) -> FloatArray:
    """Tokens (N, Z) of cached embeddings (N, M, D)."""
    with torch.inference_mode():
        parts = [encoder(encoder.standardise(part)) for part in embeddings.split(256)]
    return np.asarray(torch.cat(parts).numpy())


def probe_all(
    embeddings: torch.Tensor, held_out: torch.Tensor, train: Frames, test: Frames,
    tokens: dict[str, TokenEncoder],
) -> dict[str, ProbeResult]:
    """Probe every representation of the same frames.

    Args:
        embeddings: (N, M, D) of `train`.
        held_out: (K, M, D) of `test`.
        train: Frames to fit on.
        test: Frames of other episodes.
        tokens: Decoder name -> encoder trained with it.

    Returns:
        Name of the representation -> score.
    """
    flat = [item.flatten(1).numpy() for item in (embeddings, held_out)]
    kinds: dict[str, list[NDArray[Any]]] = {
        "raw": list(flat),
        "pooled": [item.mean(dim=1).numpy() for item in (embeddings, held_out)],
        "pca64": list(pca(flat[0], flat, 64)),
    }
    for name, encoder in tokens.items():
        kinds[f"token_{name}"] = [tokens_of(encoder, item) for item in (embeddings, held_out)]
    return {
        name: ridge_probe(
            Samples(fit, train.offsets, train.episodes), Samples(seen, test.offsets, test.episodes)
        )
        for name, (fit, seen) in kinds.items()
    }


def _base_episode(vla: TinyVLA, world: World, seed: int, limit: int) -> tuple[int, bool]:
    world.reset(seed)
    rng = np.random.default_rng(seed)
    chunk: Iterator[FloatArray] = iter(())
    for tick in range(limit):
        robot = world.state()
        if tick % CHUNK == 0:
            proprio = np.concatenate([robot.tcp, robot.wrench]).astype(np.float32)
            prefix = vla.embed([Observation(tick, world.render(), proprio)])
            noise = rng.standard_normal((1, vla.horizon, len(vla.axis_names)))
            chunk = iter(vla.sample(prefix, noise)[0])
        world.step(move_setpoint(robot.setpoint, next(chunk).astype(np.float64), robot.tcp))
        verdict = world.task_state()
        if verdict.success or verdict.failure:
            return tick + 1, verdict.success
    return limit, False
