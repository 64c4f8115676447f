"""Training of pretraining: the base policy on demonstrations, the RL token on its embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from tqdm import tqdm

from rlt_core.contract import CameraSpec
from rlt_core.records import FloatArray
from rlt_core.rl.rl_token import DECODERS, TokenEncoder, reconstruction_loss
from rlt_core.vla.tiny import TinyConfig, TinyNetwork, flow_matching_loss, tokenise
from rlt_sim.pretrain.dataset import Frames
from rlt_sim.world import World

PROPRIO_NAMES = ("x", "y", "z", "yaw", "fx", "fy", "fz", "tz")
POSE_SCALE = np.array([0.004, 0.004, 0.006, 0.06], dtype=np.float32)
"""Offsets in m, m, m, rad that the auxiliary pose head estimates as 1."""


@dataclass(frozen=True)
class Budget:
    """How much pretraining does; the defaults make the shipped models.

    Attributes:
        demonstrations: Successful demonstrations of the imperfect expert.
        demonstration_ticks: Length at which an attempt is given up.
        demonstration_clearance_m: Gap of the socket for demonstrations and scattered frames: wider
            than the task's, so that the base policy has not practised the last bit of precision.
        held_out_share: Share of demonstrations held out from base, token and probe.
        scattered: Static frames; their labels serve the auxiliary pose loss only.
        base_steps: Gradient steps of the base policy.
        batch: Demonstration frames per step.
        scattered_batch: Scattered frames per step.
        pose_weight: Weight of the auxiliary pose loss.
        token_scattered: Scattered frames, without labels, added to the demonstrations' frames.
        token_steps: Gradient steps of the RL token, for each decoder.
        token_batch: Embeddings per step of the RL token.
        learning_rate: Peak of the cosine schedule, for base and token.
        evaluation_episodes: Episodes of the base policy for the record.
    """

    demonstrations: int = 150
    demonstration_ticks: int = 400
    demonstration_clearance_m: float = 0.00035
    held_out_share: float = 0.15
    scattered: int = 16_000
    base_steps: int = 2200
    batch: int = 20
    scattered_batch: int = 28
    pose_weight: float = 2.0
    token_scattered: int = 6000
    token_steps: int = 1200
    token_batch: int = 64
    learning_rate: float = 1e-3
    evaluation_episodes: int = 40


def train_base(
    train: Frames, scattered: Frames | None, instruction: str, budget: Budget, seed: int
) -> TinyNetwork:
    """Train the base policy by flow matching, with the auxiliary pose loss if labels may be used.

    Args:
        train: Demonstration frames.
        scattered: Labelled frames; None trains without any privileged label.
        instruction: The task's language instruction.
        budget: Steps and batch sizes.
        seed: Seed of weights, batches, noise.

    Returns:
        The trained network.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng((seed, 2))
    network = _new_network(train)
    words = tokenise(instruction, network.config.words, network.config.vocabulary)
    action_std = network.action_std.numpy()

    def loss() -> dict[str, torch.Tensor]:
        picked = train[rng.integers(len(train), size=budget.batch)]
        images, proprio, offsets = picked.images, picked.proprio, picked.offsets
        if scattered is not None:
            extra = scattered[rng.integers(len(scattered), size=budget.scattered_batch)]
            images = np.concatenate([images, extra.images])
            proprio = np.concatenate([proprio, extra.proprio])
            offsets = np.concatenate([offsets, extra.offsets])
        prefix = network.prefix(torch.from_numpy(images), torch.from_numpy(proprio), words)
        chunks = torch.from_numpy(picked.chunks / action_std)
        losses = {"flow": flow_matching_loss(network, prefix[: budget.batch], chunks, generator)}
        if scattered is not None:
            estimate = network.pose_estimate(prefix)
            target = torch.from_numpy(offsets / POSE_SCALE)
            pose = functional.smooth_l1_loss(estimate, target, beta=0.1)
            losses["pose"] = budget.pose_weight * pose
        return losses

    _optimise(list(network.parameters()), loss, budget.base_steps, budget.learning_rate, "base")
    return network


def train_token(
    decoder_name: str, embeddings: torch.Tensor, budget: Budget, seed: int
) -> TokenEncoder:
    """Train an RL token on cached embeddings (N, M, D) (RL Token paper, Eq. 2).

    Args:
        decoder_name: A name in `DECODERS`.
        embeddings: Frozen embeddings.
        budget: Steps and batch size.
        seed: Seed of weights, batches, context dropout.

    Returns:
        The encoder; the decoder is dropped.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = TokenEncoder(embeddings.shape[1], embeddings.shape[2])
    encoder.fit_scale(embeddings)
    decoder = DECODERS[decoder_name](embeddings.shape[1], embeddings.shape[2], encoder.size)

    def loss() -> dict[str, torch.Tensor]:
        index = torch.randint(len(embeddings), (budget.token_batch,), generator=generator)
        return {"loss": reconstruction_loss(encoder, decoder, embeddings[index], generator)}

    parameters = [*encoder.parameters(), *decoder.parameters()]
    title = f"token, {decoder_name}"
    _optimise(parameters, loss, budget.token_steps, budget.learning_rate, title)
    return encoder.eval().requires_grad_(False)


def spread(values: NDArray[Any]) -> FloatArray:
    """Standard deviation per column, never 0."""
    return np.maximum(values.std(axis=0), 1e-6).astype(np.float32)


def _new_network(train: Frames) -> TinyNetwork:
    cameras = tuple(CameraSpec(name, 64, 64) for name in World.camera_names)
    network = TinyNetwork(TinyConfig(cameras, PROPRIO_NAMES, World.axis_names))
    network.proprio_mean.copy_(torch.from_numpy(train.proprio.mean(axis=0)))
    network.proprio_std.copy_(torch.from_numpy(spread(train.proprio)))
    network.action_std.copy_(torch.from_numpy(spread(train.chunks.reshape(-1, 4))))
    return network


def _optimise(
    parameters: list[torch.nn.Parameter],
    loss: Callable[[], dict[str, torch.Tensor]],
    steps: int,
    peak: float,
    title: str,
) -> None:
    """AdamW with warm-up, cosine decay and clipped gradients, under a progress bar."""
    optimiser = torch.optim.AdamW(parameters, lr=peak, fused=True)
    smooth: dict[str, float] = {}
    bar = tqdm(range(steps), desc=title, unit="step", mininterval=2.0)
    for step in bar:
        rate = peak * min(1.0, (step + 1) / 100) * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        losses = loss()
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        for name, value in losses.items():
            smooth[name] = 0.98 * smooth.get(name, float(value.detach())) + 0.02 * value.item()
        if step % 20 == 0 or step == steps - 1:
            bar.set_postfix({name: f"{value:.4f}" for name, value in smooth.items()}, refresh=False)
