"""The RL token: one vector that compresses a VLA's embeddings (RL Token paper, Eq. 1 and 2).

An encoder transformer reads the final-layer embeddings followed by one learned `<rl>` embedding;
its output there is the token z. While it is trained, a decoder must reconstruct the embeddings
from z. Two decoders exist: `autoregressive` with teacher forcing, as in the paper, and
`parallel`, which sees only z. The decoder is discarded after training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rlt_core.records import FloatArray
from rlt_core.vla.base import Prefix
from rlt_core.vla.transformer import Block
from rlt_core.vla.weight_files import load_weights, save_weights, weights_digest

WEIGHTS_FILE = "rl_token.safetensors"


class TokenEncoder(nn.Module):
    """Embeddings (B, M, D) -> RL token (B, Z).

    The embeddings are standardised per (token, dimension) with frozen statistics, so that no
    position or dimension dominates only because of its scale.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, token_count: int, width: int, size: int = 128, depth: int = 2, heads: int = 8
    ) -> None:
        """Create an encoder for M = `token_count` embeddings of width D = `width`."""
        super().__init__()
        self.config: dict[str, Any] = {
            "token_count": token_count, "width": width, "size": size, "depth": depth, "heads": heads
        }
        self.register_buffer("mean", torch.zeros(token_count, width))
        self.register_buffer("std", torch.ones(token_count, width))
        self.position = nn.Parameter(0.02 * torch.randn(token_count, width))
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size))

    @property
    def size(self) -> int:
        """Width Z of the token."""
        return int(self.config["size"])

    def fit_scale(self, embeddings: torch.Tensor) -> None:
        """Set the frozen statistics from embeddings (N, M, D)."""
        self.mean.copy_(embeddings.mean(dim=0))
        self.std.copy_(embeddings.std(dim=0).clamp_min(1e-3))

    def standardise(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Standardise embeddings (B, M, D): the encoder's input and the decoder's target."""
        return ((embeddings - self.mean) / self.std).clamp(-5.0, 5.0)

    def forward(self, standardised: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encode standardised embeddings (B, M, D); `mask` is bool (B, M), None: all valid."""
        batch = standardised.shape[0]
        query = self.query.expand(batch, 1, -1)  # <rl> comes last (Eq. 1)
        x = torch.cat([standardised + self.position, query], dim=1)
        readable = None
        if mask is not None:
            readable = functional.pad(mask, (0, 1), value=True)[:, None, None]
        for index, block in enumerate(self.blocks):
            x = block(x, mask=readable, last=index == len(self.blocks) - 1)
        token: torch.Tensor = self.project(x[:, -1])
        return token

    def encode(self, prefix: Prefix) -> FloatArray:
        """Token of a prefix pass: float32 (B, Z), not standardised."""
        with torch.inference_mode():
            mask = None if bool(prefix.mask.all()) else prefix.mask
            token = self.forward(self.standardise(prefix.embeddings), mask)
            return np.asarray(token.numpy(), dtype=np.float32)

    def digest(self) -> str:
        """SHA-256 of architecture and weights."""
        return weights_digest(self.state_dict(), self.config)

    def save(self, folder: Path) -> None:
        """Write `rl_token.safetensors`."""
        save_weights(folder / WEIGHTS_FILE, self.state_dict(), self.config)

    @classmethod
    def load(cls, folder: Path) -> TokenEncoder:
        """Read `rl_token.safetensors`.

        Raises:
            FileNotFoundError: If it is missing; names the command that creates it.
            ValueError: If it does not contain an RL token.
        """
        path = folder / WEIGHTS_FILE
        tensors, config = load_weights(path)
        try:
            encoder = cls(**config)
            encoder.load_state_dict(tensors)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"{path} does not contain an RL token: {error}") from error
        return encoder.eval().requires_grad_(False)


class AutoregressiveDecoder(nn.Module):
    """Predicts embedding i from z and the true embeddings 1 ... i-1 (Eq. 2).

    With teacher forcing the context alone can explain most of an embedding, and z may stay
    uninformative; `context_dropout` therefore hides a fraction of the context's tokens.
    """

    def __init__(
        self,
        token_count: int,
        width: int,
        size: int,
        depth: int = 2,
        heads: int = 8,
        context_dropout: float = 0.9,
    ) -> None:
        """Make a decoder of tokens of size Z = `size` to (M, D) = (`token_count`, `width`)."""
        super().__init__()
        self.context_dropout = context_dropout
        self.start = nn.Linear(size, width)
        self.position = nn.Parameter(0.02 * torch.randn(token_count, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def forward(
        self, token: torch.Tensor, target: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Reconstruct `target` (B, M, D) from `token` (B, Z) with teacher forcing."""
        context = target[:, :-1]
        kept = torch.rand((*context.shape[:2], 1), generator=generator) >= self.context_dropout
        x = torch.cat([self.start(token)[:, None], context * kept], dim=1) + self.position
        for block in self.blocks:
            x = block(x, causal=True)
        reconstructed: torch.Tensor = self.head(x)
        return reconstructed


class ParallelDecoder(nn.Module):
    """Predicts all embeddings at once from z alone, by an MLP."""

    def __init__(self, token_count: int, width: int, size: int, hidden: int = 384) -> None:
        """Make a decoder of tokens of size Z = `size` to (M, D) = (`token_count`, `width`)."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(size, hidden),
            nn.GELU(),
            nn.Linear(hidden, token_count * width),
            nn.Unflatten(1, (token_count, width)),
        )

    def forward(
        self, token: torch.Tensor, target: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Reconstruct (B, M, D) from `token` (B, Z); the other arguments are ignored."""
        reconstructed: torch.Tensor = self.net(token)
        return reconstructed


DECODERS: dict[str, type[AutoregressiveDecoder] | type[ParallelDecoder]] = {
    "autoregressive": AutoregressiveDecoder,
    "parallel": ParallelDecoder,
}


def reconstruction_loss(
    encoder: TokenEncoder,
    decoder: nn.Module,
    embeddings: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Reconstruction loss of embeddings (B, M, D), mean over elements (Eq. 2 up to a factor)."""
    target = encoder.standardise(embeddings)
    return functional.mse_loss(decoder(encoder(target), target, generator), target)
