"""The `tiny` backend: a small vision-language-conditioned flow-matching policy.

It has the structure of a large VLA at a thousandth of its size: image, language and proprioception
tokens go through one transformer (the prefix pass); an action expert reads the result by
cross-attention and turns noise into a chunk of H increments by integrating a learned velocity
field (flow matching). It runs in milliseconds on one CPU core, so that both stages of the method
can be run without a GPU.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from rlt_core.contract import CameraSpec
from rlt_core.records import FloatArray, Observation
from rlt_core.vla.base import VLA, Prefix
from rlt_core.vla.transformer import Block, KeysValues
from rlt_core.vla.weight_files import load_weights, save_weights, weights_digest

WEIGHTS_FILE = "vla.safetensors"
_GRID = 4  # image tokens per side


@dataclass(frozen=True)
class TinyConfig:
    """Architecture of the tiny policy.

    Attributes:
        cameras: Cameras; all of the same size.
        proprio_names: Names of the P proprioception elements.
        axis_names: Names of the A action axes.
        horizon: Length H of a chunk in ticks.
        width: Width D of an embedding.
        depth: Transformer blocks, in the prefix and in the action expert each.
        heads: Attention heads.
        ticks_per_token: Ticks that one token of the action expert represents.
        flow_steps: Euler steps from noise to a chunk.
        words: Language tokens; longer instructions are rejected.
        vocabulary: Rows of the word table; words are hashed into it.
    """

    cameras: tuple[CameraSpec, ...]
    proprio_names: tuple[str, ...]
    axis_names: tuple[str, ...]
    horizon: int = 50
    width: int = 128
    depth: int = 2
    heads: int = 4
    ticks_per_token: int = 5
    flow_steps: int = 5
    words: int = 8
    vocabulary: int = 256

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a file's header."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> TinyConfig:
        """Inverse of `to_json`."""
        values = dict(raw)
        values["cameras"] = tuple(CameraSpec(**camera) for camera in raw["cameras"])
        values["proprio_names"] = tuple(raw["proprio_names"])
        values["axis_names"] = tuple(raw["axis_names"])
        return cls(**values)


def tokenise(instruction: str, words: int, vocabulary: int) -> torch.Tensor:
    """Hash an instruction's words into rows of a table; row 0 is padding.

    Returns:
        int64 (words,).

    Raises:
        ValueError: If the instruction is empty or longer than `words`.
    """
    found = instruction.lower().split()
    if not 0 < len(found) <= words:
        raise ValueError(
            f"instruction {instruction!r} has {len(found)} words, the tiny policy reads 1 to "
            f"{words}: shorten it"
        )
    rows = [1 + zlib.crc32(word.encode()) % (vocabulary - 1) for word in found]
    return torch.tensor(rows + [0] * (words - len(found)))


class TinyNetwork(nn.Module):
    """Prefix transformer, action expert and the auxiliary pose head of pretraining."""

    proprio_mean: torch.Tensor
    proprio_std: torch.Tensor
    action_std: torch.Tensor

    def __init__(self, config: TinyConfig) -> None:
        """Create a network with random weights; the scales are identities until set."""
        super().__init__()
        self.config = config
        width, axes = config.width, len(config.axis_names)
        self.register_buffer("proprio_mean", torch.zeros(len(config.proprio_names)))
        self.register_buffer("proprio_std", torch.ones(len(config.proprio_names)))
        self.register_buffer("action_std", torch.ones(axes))

        self.vision = nn.ModuleList(_image_encoder(width) for _ in config.cameras)
        self.proprio = nn.Linear(len(config.proprio_names), width)
        self.word = nn.Embedding(config.vocabulary, width)
        self.position = nn.Parameter(0.02 * torch.randn(self.token_count + config.words, width))
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)

        action_tokens = config.horizon // config.ticks_per_token
        self.action_in = nn.Linear(config.ticks_per_token * axes, width)
        self.action_position = nn.Parameter(0.02 * torch.randn(action_tokens, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.expert = nn.ModuleList(
            Block(width, config.heads, cross=True) for _ in range(config.depth)
        )
        self.action_out = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, config.ticks_per_token * axes)
        )
        self.pose = nn.Linear(width, axes)

    @property
    def token_count(self) -> int:
        """Number M of image and proprioception tokens."""
        return len(self.config.cameras) * _GRID**2 + 1

    def prefix(
        self, images: torch.Tensor, proprio: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """Run the prefix pass.

        Args:
            images: uint8 (B, cameras, height, width, 3).
            proprio: float32 (B, P), SI.
            words: int64 (L,), the tokenised instruction.

        Returns:
            float32 (B, M + L, D): image, proprioception and language embeddings, in this order.
        """
        batch = images.shape[0]
        pixels = images.permute(1, 0, 4, 2, 3).contiguous().float() / 127.5 - 1.0
        seen = [encode(view) for encode, view in zip(self.vision, pixels, strict=True)]
        felt = self.proprio(((proprio - self.proprio_mean) / self.proprio_std).clamp(-5.0, 5.0))
        read = self.word(words).expand(batch, -1, -1)
        x = torch.cat([*seen, felt[:, None], read], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        embeddings: torch.Tensor = self.norm(x)
        return embeddings

    def context(self, prefix: torch.Tensor) -> list[KeysValues]:
        """Keys and values that the action expert's blocks read; computed once per observation."""
        return [block.cross.keys_values(prefix) for block in self.expert]  # type: ignore[union-attr, operator]

    def velocity(
        self, context: list[KeysValues], actions: torch.Tensor, time: torch.Tensor
    ) -> torch.Tensor:
        """Velocity field of the flow.

        Args:
            context: Result of `context` for B observations.
            actions: float32 (B, H, A), partly denoised chunks in units of `action_std`.
            time: float32 (B,), 0 at noise and 1 at the chunk.

        Returns:
            float32 (B, H, A), change of the chunk per unit of time.
        """
        batch, horizon, axes = actions.shape
        ticks = self.config.ticks_per_token
        tokens = self.action_in(actions.reshape(batch, horizon // ticks, ticks * axes))
        moment = self.time(_sinusoids(time, self.config.width))
        x = tokens + self.action_position + moment[:, None]
        for block, keys_values in zip(self.expert, context, strict=True):
            x = block(x, keys_values)
        out: torch.Tensor = self.action_out(x)
        return out.reshape(batch, horizon, axes)

    def pose_estimate(self, prefix: torch.Tensor) -> torch.Tensor:
        """Auxiliary estimate (B, A) of the scaled plug-to-socket offset; pretraining only."""
        estimate: torch.Tensor = self.pose(prefix[:, : self.token_count].mean(dim=1))
        return estimate


def _image_encoder(width: int) -> nn.Sequential:
    """Four strided convolutions: (B, 3, 64, 64) -> 16 tokens (B, 16, width)."""
    channels = (3, 16, 32, 64, width)
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(zip(channels, channels[1:], strict=False)):
        kernel = 5 if index == 0 else 3
        layers += [
            nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2),
            nn.GroupNorm(8, outputs),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(2), _Transpose())


class _Transpose(nn.Module):
    """Swap channels and tokens."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def _sinusoids(time: torch.Tensor, width: int) -> torch.Tensor:
    frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), width // 2))
    angles = time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class TinyVLA(VLA):
    """The tiny policy behind the VLA interface."""

    def __init__(self, network: TinyNetwork, instruction: str) -> None:
        """Wrap a network.

        Raises:
            ValueError: If the instruction is empty or too long.
        """
        config = network.config
        self.network = network.eval().requires_grad_(False)
        self.instruction = instruction
        self.horizon = config.horizon
        self.width = config.width
        self.token_count = network.token_count
        self.cameras = config.cameras
        self.proprio_names = config.proprio_names
        self.axis_names = config.axis_names
        self._words = tokenise(instruction, config.words, config.vocabulary)

    @classmethod
    def load(cls, folder: Path, instruction: str) -> TinyVLA:
        """Read `vla.safetensors`; see `VLA.load`."""
        path = folder / WEIGHTS_FILE
        tensors, raw = load_weights(path)
        try:
            network = TinyNetwork(TinyConfig.from_json(raw))
            network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{path} does not contain a tiny policy ({error}): create it with this version's "
                f"`ros2 run rlt_learner pretrain --task {folder.name}`"
            ) from error
        return cls(network, instruction)

    def save(self, folder: Path) -> None:
        """Write `vla.safetensors`."""
        save_weights(
            folder / WEIGHTS_FILE, self.network.state_dict(), self.network.config.to_json()
        )

    def embed(self, observations: Sequence[Observation]) -> Prefix:
        """Run the prefix pass; see `VLA.embed`."""
        images = torch.from_numpy(np.stack([self._images(item) for item in observations]))
        proprio = torch.from_numpy(np.stack([self._proprio(item) for item in observations]))
        with torch.inference_mode():
            tokens = self.network.prefix(images, proprio, self._words)
        embeddings = tokens[:, : self.token_count]
        mask = torch.ones(embeddings.shape[:2], dtype=torch.bool)
        return Prefix(embeddings=embeddings, mask=mask, cache=tokens)

    def sample(self, prefix: Prefix, noise: NDArray[Any]) -> FloatArray:
        """Integrate the flow from noise with Euler steps; see `VLA.sample`."""
        batch = prefix.embeddings.shape[0]
        expected = (batch, self.horizon, len(self.axis_names))
        if noise.shape != expected:
            raise ValueError(f"noise has shape {noise.shape}, expected {expected}")
        actions = torch.from_numpy(np.asarray(noise, dtype=np.float32))
        steps = self.network.config.flow_steps
        with torch.inference_mode():
            context = self.network.context(prefix.cache)
            for step in range(steps):
                time = torch.full((batch,), step / steps)
                actions = actions + self.network.velocity(context, actions, time) / steps
            return np.asarray((actions * self.network.action_std).numpy(), dtype=np.float32)

    def digest(self) -> str:
        """SHA-256 of architecture and weights."""
        return weights_digest(self.network.state_dict(), self.network.config.to_json())

    def _images(self, observation: Observation) -> NDArray[np.uint8]:
        views = []
        for camera in self.cameras:
            image = observation.images.get(camera.name)
            expected = (camera.height, camera.width, 3)
            if image is None:
                raise ValueError(
                    f"observation of tick {observation.tick} lacks camera {camera.name!r}: it has "
                    f"{sorted(observation.images)}; check the observer's cameras"
                )
            if image.shape != expected or image.dtype != np.uint8:
                raise ValueError(
                    f"image of camera {camera.name!r} is {image.dtype} {image.shape}, expected "
                    f"uint8 {expected}; the observer resizes to the contract's size"
                )
            views.append(image)
        return np.stack(views)

    def _proprio(self, observation: Observation) -> FloatArray:
        expected = (len(self.proprio_names),)
        if observation.proprio.shape != expected:
            raise ValueError(
                f"proprioception of tick {observation.tick} has shape "
                f"{observation.proprio.shape}, expected {expected} {self.proprio_names}"
            )
        return np.asarray(observation.proprio, dtype=np.float32)


def flow_matching_loss(
    network: TinyNetwork,
    prefix: torch.Tensor,
    actions: torch.Tensor,
    generator: torch.Generator,
    samples: int = 2,
) -> torch.Tensor:
    """Flow-matching loss of chunks given their prefixes.

    Args:
        network: The policy.
        prefix: float32 (B, M + L, D), result of `TinyNetwork.prefix`.
        actions: float32 (B, H, A), demonstrated chunks in units of `action_std`.
        generator: Source of noise and times.
        samples: Noise samples per observation; the prefix is shared among them.

    Returns:
        Mean squared error of the predicted velocity.
    """
    context = [
        (keys.repeat(samples, 1, 1, 1), values.repeat(samples, 1, 1, 1))
        for keys, values in network.context(prefix)
    ]
    target = actions.repeat(samples, 1, 1)
    noise = torch.randn(target.shape, generator=generator)
    time = torch.rand(target.shape[0], generator=generator)
    mixed = torch.lerp(noise, target, time[:, None, None])
    return functional.mse_loss(network.velocity(context, mixed, time), target - noise)
