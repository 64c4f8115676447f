"""The transformer block that the tiny policy and the RL token share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

KeysValues = tuple[torch.Tensor, torch.Tensor]


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be computed once and reused."""

    def __init__(self, width: int, heads: int) -> None:
        """Create an attention layer of `heads` heads over vectors of size `width`."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def keys_values(self, context: torch.Tensor) -> KeysValues:
        """Project a context (B, N, D) to keys and values (B, heads, N, D / heads)."""
        keys, values = self.key_value(context).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        x: torch.Tensor,
        context: KeysValues,
        mask: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        """Let x (B, Q, D) read a context; `mask` is bool (B, 1, 1, N), True where readable."""
        keys, values = context
        read = functional.scaled_dot_product_attention(
            self._split(self.query(x)), keys, values, attn_mask=mask, is_causal=causal
        )
        merged: torch.Tensor = self.output(read.transpose(1, 2).flatten(2))
        return merged

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        return x.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, optional cross-attention, MLP."""

    def __init__(self, width: int, heads: int, cross: bool = False) -> None:
        """Create a block; with `cross` it also reads a second sequence."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width) if cross else None
        self.cross = Attention(width, heads) if cross else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self,
        x: torch.Tensor,
        context: KeysValues | None = None,
        mask: torch.Tensor | None = None,
        causal: bool = False,
        last: bool = False,
    ) -> torch.Tensor:
        """Process x (B, N, D).

        Args:
            x: The sequence.
            context: Keys and values of the second sequence, for a block with cross-attention.
            mask: bool (B, 1, 1, N), True where x may be read.
            causal: Whether position i may only read positions up to i.
            last: Compute and return only the last position, (B, 1, D).
        """
        normed = self.norm(x)
        keys_values = self.attention.keys_values(normed)
        if last:
            x, normed = x[:, -1:], normed[:, -1:]
        x = x + self.attention(normed, keys_values, mask, causal)
        if self.cross is not None and self.cross_norm is not None and context is not None:
            x = x + self.cross(self.cross_norm(x), context)
        x = x + self.mlp(x)
        return x
