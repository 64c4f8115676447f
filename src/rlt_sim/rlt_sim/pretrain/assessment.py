"""Assessment of pretraining: the base policy on the task, and probes of the embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from rlt_core.control.motion_limits import MotionLimits
from rlt_core.records import FloatArray, Observation, Outcome
from rlt_core.rl.rl_token import TokenEncoder
from rlt_core.runner import build_runner
from rlt_core.settings import ScheduleSettings
from rlt_core.vla.tiny import TinyVLA
from rlt_sim.pretrain.dataset import Frames
from rlt_sim.pretrain.probe import ProbeResult, Samples, pca, ridge_probe
from rlt_sim.world import World

_EVALUATION_SEED = 4_000  # of the schedule: far from the seeds that a user gives runs


def evaluate_base(
    model: Path, world: World, limits: MotionLimits, time_limit_ticks: int, episodes: int
) -> dict[str, float | None]:
    """Success rate and speed of the base policy, driven and limited as on the robot.

    Args:
        model: Folder of the finished model.
        world: The task as it will be trained on.
        limits: Motion limits.
        time_limit_ticks: Longest episode; a failure counts as this long.
        episodes: How many, on seeds that no run evaluates or trains on.
    """
    schedule = ScheduleSettings(
        base_eval_episodes=episodes, episodes=0, eval_episodes=0, seed=_EVALUATION_SEED,
        time_limit_ticks=time_limit_ticks,
    )
    runner = build_runner(world, model, limits, schedule)
    bar = tqdm(runner.run(), total=episodes, desc="base policy", unit="episode", mininterval=2.0)
    results = list(bar)
    solved = [result.steps for result in results if result.outcome is Outcome.SUCCESS]
    steps = solved + [time_limit_ticks] * (episodes - len(solved))
    return {
        "episodes": episodes,
        "time_limit_ticks": time_limit_ticks,
        "success_rate": len(solved) / episodes,
        "median_steps": float(np.median(steps)),
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
