"""Data of pretraining: demonstrations of a simulated task and scattered labelled frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rlt_core.records import FloatArray
from rlt_sim.demonstrator import Demonstration, Demonstrator, rollout
from rlt_sim.world import World

_FIRST_DEMONSTRATION_SEED = 3_000_000_000  # far from the seeds of any training or evaluation run
_SEEDS_PER_RUN = 1_000_000


@dataclass(frozen=True)
class Frames:
    """N observations with their labels.

    Attributes:
        images: uint8 (N, cameras, height, width, 3), RGB, cameras in the world's order.
        proprio: float32 (N, P), SI.
        chunks: float32 (N, H, A), demonstrated increments from the frame on, SI; zero past the
            end of the demonstration. Empty (N, 0, A) for scattered frames.
        offsets: float32 (N, A), plug-to-socket offset, SI: privileged.
        episodes: int64 (N,), number of the demonstration.
    """

    images: NDArray[np.uint8]
    proprio: FloatArray
    chunks: FloatArray
    offsets: FloatArray
    episodes: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)

    def __getitem__(self, index: Any) -> Frames:
        """The frames at an index, mask or slice."""
        return Frames(
            self.images[index],
            self.proprio[index],
            self.chunks[index],
            self.offsets[index],
            self.episodes[index],
        )


@dataclass(frozen=True)
class Demonstrations:
    """Successful demonstrations as frames.

    Attributes:
        frames: All their frames, one per stride.
        attempts: Episodes that were needed to get them.
        median_ticks: Median length of the successful ones.
    """

    frames: Frames
    attempts: int
    median_ticks: float

    def split(self, held_out_share: float) -> tuple[Frames, Frames]:
        """Split by episode into frames to train on and frames held out from everything."""
        episodes = self.frames.episodes
        held_out = episodes >= round((episodes.max() + 1) * (1.0 - held_out_share))
        return self.frames[~held_out], self.frames[held_out]


def demonstrate(
    world: World, count: int, max_ticks: int, horizon: int, stride: int, seed: int
) -> Demonstrations:
    """Record successful demonstrations of the imperfect expert.

    Args:
        world: The world to demonstrate in.
        count: Number of successful demonstrations.
        max_ticks: Length at which an attempt is given up, control ticks.
        horizon: Length H of the action chunks.
        stride: Ticks between frames.
        seed: Seed of pretraining.

    Raises:
        RuntimeError: If fewer than one attempt in five succeeds.
    """
    kept: list[Demonstration] = []
    attempts = 0
    with tqdm(total=count, desc="demonstrations", unit="demo", mininterval=2.0) as bar:
        while len(kept) < count:
            if attempts >= 5 * count:
                raise RuntimeError(
                    f"only {len(kept)} of {attempts} demonstrations succeeded: the task is too "
                    "hard for the demonstrator; widen its clearance"
                )
            episode = _FIRST_DEMONSTRATION_SEED + _SEEDS_PER_RUN * seed + attempts
            attempts += 1
            take = rollout(world, Demonstrator(episode), episode, max_ticks, image_stride=0)
            if take.success:  # worth rendering: the same take, with images
                kept.append(rollout(world, Demonstrator(episode), episode, max_ticks, stride))
                bar.update()
    parts = [_frames(demo, number, horizon, stride) for number, demo in enumerate(kept)]
    return Demonstrations(
        frames=_join(parts),
        attempts=attempts,
        median_ticks=float(np.median([demo.ticks for demo in kept])),
    )


def scatter(world: World, count: int, seed: int) -> Frames:
    """Render labelled frames of random static configurations (privileged)."""
    rng = np.random.default_rng((seed, 1))
    images, proprio, offsets = [], [], []
    for _ in tqdm(range(count), desc="scattered frames", unit="frame", mininterval=2.0):
        world.scatter(rng)
        views, robot = world.render(), world.state()
        images.append(np.stack([views[name] for name in world.camera_names]))
        proprio.append(np.concatenate([robot.tcp, robot.wrench]))
        offsets.append(world.task_state().offset)
    axes = len(world.axis_names)
    return Frames(
        images=np.stack(images),
        proprio=np.asarray(proprio, dtype=np.float32),
        chunks=np.zeros((count, 0, axes), dtype=np.float32),
        offsets=np.asarray(offsets, dtype=np.float32),
        episodes=np.full(count, -1),
    )


def _frames(demo: Demonstration, number: int, horizon: int, stride: int) -> Frames:
    padded = np.concatenate([demo.actions, np.zeros((horizon, demo.actions.shape[1]))])
    ticks = np.arange(0, demo.ticks, stride)
    return Frames(
        images=np.stack(list(demo.images.values()), axis=1),
        proprio=demo.proprio[ticks],
        chunks=np.stack([padded[tick : tick + horizon] for tick in ticks]).astype(np.float32),
        offsets=demo.offsets[ticks],
        episodes=np.full(len(ticks), number),
    )


def _join(parts: list[Frames]) -> Frames:
    return Frames(
        images=np.concatenate([part.images for part in parts]),
        proprio=np.concatenate([part.proprio for part in parts]),
        chunks=np.concatenate([part.chunks for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        episodes=np.concatenate([part.episodes for part in parts]),
    )
