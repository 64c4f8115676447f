"""The interface between the method and a vision-language-action policy (VLA).

The method needs three things from a VLA: a *prefix* pass that turns an observation into final-layer
embeddings, a reference chunk sampled from the same prefix, and a digest that ties the weights to
the run's contract. With two separate passes the RL token can be read on every stride tick, while a
chunk is sampled only at chunk boundaries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from rlt_core.contract import CameraSpec
from rlt_core.records import FloatArray, Observation


@dataclass(frozen=True)
class Prefix:
    """The result of one prefix pass.

    Attributes:
        embeddings: float32 (B, M, D), final-layer embeddings without gradient. Language tokens
            are left out: the instruction is constant (RL Token paper, section on the RL token).
        mask: bool (B, M), True where the token is valid.
        cache: Other data that `VLA.sample` needs; only the backend reads it.
    """

    embeddings: torch.Tensor
    mask: torch.Tensor
    cache: Any


class VLA(ABC):
    """A frozen policy that proposes chunks of increments.

    Attributes:
        horizon: Length H of a sampled chunk in ticks.
        token_count: Number M of prefix embeddings.
        width: Width D of an embedding.
        instruction: The language instruction that the policy follows.
        cameras: Cameras in the backend's order.
        proprio_names: Names of the proprioception elements in the backend's order.
        axis_names: Names of the action axes in the backend's order.
    """

    horizon: int
    token_count: int
    width: int
    instruction: str
    cameras: tuple[CameraSpec, ...]
    proprio_names: tuple[str, ...]
    axis_names: tuple[str, ...]

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, instruction: str) -> VLA:
        """Read the policy's weights from a model folder.

        Args:
            folder: Folder with the weights.
            instruction: The language instruction that the policy must follow.

        Raises:
            FileNotFoundError: If a file is missing; names the command that creates it.
            ValueError: If a file does not have the expected content.
        """

    @abstractmethod
    def embed(self, observations: Sequence[Observation]) -> Prefix:
        """Run the prefix pass on a batch of observations.

        Raises:
            ValueError: If a camera is missing or an array has the wrong shape or type.
        """

    @abstractmethod
    def sample(self, prefix: Prefix, noise: NDArray[Any]) -> FloatArray:
        """Sample reference chunks; deterministic in (prefix, noise).

        Args:
            prefix: Result of `embed` for B observations.
            noise: (B, H, A), standard normal.

        Returns:
            float32 (B, H, A), increments per tick in SI units.
        """

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of everything that determines the policy, except the instruction."""
