"""The tiny policy: all inputs matter, sampling is deterministic, bad input is rejected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rlt_core.contract import CameraSpec
from rlt_core.records import Observation
from rlt_core.vla.tiny import TinyConfig, TinyNetwork, TinyVLA, flow_matching_loss, tokenise

CONFIG = TinyConfig(
    cameras=(CameraSpec("wrist", 64, 64), CameraSpec("scene", 64, 64)),
    proprio_names=("x", "y", "z", "yaw", "fx", "fy", "fz", "tz"),
    axis_names=("x", "y", "z", "yaw"),
)
INSTRUCTION = "insert the plug"


@pytest.fixture(scope="module")
def network() -> TinyNetwork:
    torch.manual_seed(0)
    return TinyNetwork(CONFIG)


@pytest.fixture
def vla(network: TinyNetwork) -> TinyVLA:
    return TinyVLA(network, INSTRUCTION)


def observation(seed: int = 0) -> Observation:
    rng = np.random.default_rng(seed)
    images = {
        camera.name: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for camera in CONFIG.cameras
    }
    return Observation(tick=0, images=images, proprio=rng.normal(size=8).astype(np.float32))


def noise(batch: int = 1) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((batch, 50, 4))


def chunk(vla: TinyVLA, seen: Observation) -> np.ndarray:
    return vla.sample(vla.embed([seen]), noise())


def test_shapes_and_types(vla: TinyVLA) -> None:
    prefix = vla.embed([observation(0), observation(1)])
    assert prefix.embeddings.shape == (2, vla.token_count, vla.width)
    assert prefix.embeddings.dtype == torch.float32
    assert prefix.mask.shape == (2, vla.token_count) and prefix.mask.dtype == torch.bool
    actions = vla.sample(prefix, noise(2))
    assert actions.shape == (2, 50, 4) and actions.dtype == np.float32


def test_sampling_is_deterministic_in_observation_and_noise(vla: TinyVLA) -> None:
    first, again = chunk(vla, observation()), chunk(vla, observation())
    np.testing.assert_array_equal(first, again)
    other_noise = vla.sample(vla.embed([observation()]), -noise())
    assert np.abs(first - other_noise).max() > 1e-3


@pytest.mark.parametrize("changed", ["wrist", "scene", "proprio"])
def test_every_observed_input_changes_embeddings_and_chunk(vla: TinyVLA, changed: str) -> None:
    seen, other = observation(0), observation(1)
    if changed == "proprio":
        mixed = dataclasses.replace(seen, proprio=other.proprio)
    else:
        mixed = dataclasses.replace(seen, images={**seen.images, changed: other.images[changed]})
    assert np.abs(chunk(vla, seen) - chunk(vla, mixed)).max() > 1e-5
    difference = vla.embed([seen]).embeddings - vla.embed([mixed]).embeddings
    assert difference.abs().max() > 1e-3


def test_the_instruction_changes_embeddings_and_chunk(network: TinyNetwork, vla: TinyVLA) -> None:
    other = TinyVLA(network, "pull the plug")
    assert np.abs(chunk(vla, observation()) - chunk(other, observation())).max() > 1e-5
    assert not torch.equal(
        vla.embed([observation()]).embeddings, other.embed([observation()]).embeddings
    )


def test_a_batch_equals_its_single_observations(vla: TinyVLA) -> None:
    both = vla.embed([observation(0), observation(1)]).embeddings
    single = torch.cat([vla.embed([observation(k)]).embeddings for k in (0, 1)])
    torch.testing.assert_close(both, single, atol=1e-5, rtol=1e-4)


def test_saved_policy_is_the_same_policy(vla: TinyVLA, tmp_path: Path) -> None:
    vla.save(tmp_path)
    loaded = TinyVLA.load(tmp_path, INSTRUCTION)
    assert loaded.digest() == vla.digest()
    np.testing.assert_array_equal(chunk(vla, observation()), chunk(loaded, observation()))


def test_the_digest_sees_every_weight(network: TinyNetwork, vla: TinyVLA) -> None:
    before = vla.digest()
    with torch.no_grad():
        network.proprio_mean[3] += 1e-6
    changed = vla.digest()
    with torch.no_grad():
        network.proprio_mean[3] = 0.0
    assert changed != before and vla.digest() == before


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vla\.safetensors.*pretrain --task"):
        TinyVLA.load(tmp_path, INSTRUCTION)
    (tmp_path / "vla.safetensors").write_bytes(b"not a weight file")
    with pytest.raises(ValueError, match="not a weight file"):
        TinyVLA.load(tmp_path, INSTRUCTION)


def test_bad_observations_are_refused_by_name(vla: TinyVLA) -> None:
    seen = observation()
    with pytest.raises(ValueError, match="lacks camera 'scene'"):
        vla.embed([dataclasses.replace(seen, images={"wrist": seen.images["wrist"]})])
    small = {**seen.images, "wrist": np.zeros((32, 64, 3), dtype=np.uint8)}
    with pytest.raises(ValueError, match=r"'wrist'.*\(32, 64, 3\), expected uint8 \(64, 64, 3\)"):
        vla.embed([dataclasses.replace(seen, images=small)])
    with pytest.raises(ValueError, match="proprioception"):
        vla.embed([dataclasses.replace(seen, proprio=np.zeros(3, dtype=np.float32))])
    with pytest.raises(ValueError, match="noise"):
        vla.sample(vla.embed([seen]), np.zeros((1, 10, 4)))


def test_instructions_are_tokenised_by_word() -> None:
    rows = tokenise("Insert the plug", 8, 256)
    assert rows.shape == (8,) and torch.equal(rows[3:], torch.zeros(5, dtype=torch.int64))
    assert torch.equal(rows, tokenise("insert  the plug", 8, 256))
    for bad in ("", "one two three four five six seven eight nine"):
        with pytest.raises(ValueError, match="words"):
            tokenise(bad, 8, 256)


def test_flow_matching_learns_a_chunk() -> None:
    """Overfitting one chunk must bring samples from any noise close to it."""
    torch.manual_seed(0)
    network = TinyNetwork(dataclasses.replace(CONFIG, width=32, depth=1, horizon=10))
    target = torch.linspace(-1.0, 1.0, 40).reshape(1, 10, 4)
    vla = TinyVLA(network, INSTRUCTION)
    prefix = vla.embed([observation()])
    network.requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(250):
        optimiser.zero_grad()
        flow_matching_loss(network, prefix.cache.clone(), target, generator, 32).backward()
        optimiser.step()
    network.requires_grad_(False)
    start = np.random.default_rng(2).standard_normal((1, 10, 4))
    error = vla.sample(prefix, start) - target.numpy()
    assert np.sqrt(np.mean(error**2)) < 0.25 * np.sqrt(np.mean((start - target.numpy()) ** 2))
