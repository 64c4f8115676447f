"""The RL token: encoder, both decoders, files, and the loader of model folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlt_core.action_space import ActionSpace, joints
from rlt_core.contract import CameraSpec, Contract, ContractMismatch, Normaliser, VectorSpec
from rlt_core.rl.rl_token import (
    DECODERS,
    AutoregressiveDecoder,
    ParallelDecoder,
    TokenEncoder,
    reconstruction_loss,
)
from rlt_core.vla.base import Prefix
from rlt_core.vla.model import backend, load_model
from rlt_core.vla.tiny import TinyConfig, TinyNetwork, TinyVLA

TOKENS, WIDTH, SIZE = 5, 16, 8


def encoder() -> TokenEncoder:
    torch.manual_seed(0)
    return TokenEncoder(TOKENS, WIDTH, SIZE, heads=2).eval()


def embeddings(count: int = 64) -> torch.Tensor:
    """Embeddings with three underlying degrees of freedom and different scales per token."""
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(count, 3, generator=generator)
    mixing = torch.randn(3, TOKENS * WIDTH, generator=generator)
    scale = torch.arange(1, TOKENS + 1)[:, None] * torch.ones(WIDTH)
    return (latent @ mixing).unflatten(1, (TOKENS, WIDTH)) * scale + 3.0


def prefix(values: torch.Tensor, mask: torch.Tensor | None = None) -> Prefix:
    valid = torch.ones(values.shape[:2], dtype=torch.bool) if mask is None else mask
    return Prefix(values, valid, None)


def test_token_shape_and_determinism() -> None:
    made = encoder()
    token = made.encode(prefix(embeddings(3)))
    assert token.shape == (3, SIZE) and token.dtype == np.float32
    np.testing.assert_array_equal(token, made.encode(prefix(embeddings(3))))


def test_standardised_targets_have_unit_scale_everywhere() -> None:
    made, values = encoder(), embeddings(2000)
    made.fit_scale(values)
    scaled = made.standardise(values)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(TOKENS, WIDTH), atol=0.05, rtol=0.0)
    torch.testing.assert_close(scaled.std(0), torch.ones(TOKENS, WIDTH), atol=0.05, rtol=0.0)


def test_masked_embeddings_do_not_reach_the_token() -> None:
    made, values = encoder(), embeddings(2)
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    mask[:, 2] = False
    changed = values.clone()
    changed[:, 2] = -changed[:, 2]
    masked = made.encode(prefix(values, mask))
    np.testing.assert_allclose(masked, made.encode(prefix(changed, mask)), atol=1e-6)
    assert np.abs(made.encode(prefix(changed)) - made.encode(prefix(values))).max() > 1e-4


def test_teacher_forcing_is_causal() -> None:
    """Prediction i may depend on the true embeddings before i only (Eq. 2)."""
    torch.manual_seed(0)
    decoder = AutoregressiveDecoder(TOKENS, WIDTH, SIZE, heads=2, context_dropout=0.0)
    target = torch.randn(1, TOKENS, WIDTH)
    changed = target.clone()
    changed[:, 2] = torch.randn(WIDTH)
    token, generator = torch.randn(1, SIZE), torch.Generator()
    first, second = decoder(token, target, generator), decoder(token, changed, generator)
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert (first[:, 3:] - second[:, 3:]).abs().max() > 1e-4
    other = decoder(torch.randn(1, SIZE), target, generator)
    assert ((first - other).abs().amax(dim=2) > 1e-4).all()


def test_full_context_dropout_leaves_the_token_alone() -> None:
    decoder = AutoregressiveDecoder(TOKENS, WIDTH, SIZE, heads=2, context_dropout=1.0)
    token, generator = torch.randn(1, SIZE), torch.Generator()
    one, other = torch.randn(2, 1, TOKENS, WIDTH)
    torch.testing.assert_close(decoder(token, one, generator), decoder(token, other, generator))


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_both_decoders_learn_to_reconstruct(name: str) -> None:
    made, values = encoder(), embeddings(128)
    made.fit_scale(values)
    options = {"heads": 2} if name == "autoregressive" else {}
    decoder = DECODERS[name](TOKENS, WIDTH, SIZE, **options)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam([*made.parameters(), *decoder.parameters()], lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(120):
        loss = reconstruction_loss(made, decoder, values, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.8 and losses[-1] < 0.35


def test_parallel_decoder_sees_nothing_but_the_token() -> None:
    decoder = ParallelDecoder(TOKENS, WIDTH, SIZE)
    token, generator = torch.randn(1, SIZE), torch.Generator()
    one, other = torch.randn(2, 1, TOKENS, WIDTH)
    torch.testing.assert_close(decoder(token, one, generator), decoder(token, other, generator))


def test_saved_token_is_the_same_token(tmp_path: Path) -> None:
    made = encoder()
    made.fit_scale(embeddings())
    made.requires_grad_(False).save(tmp_path)
    loaded = TokenEncoder.load(tmp_path)
    assert loaded.digest() == made.digest()
    values = prefix(embeddings(2))
    np.testing.assert_array_equal(loaded.encode(values), made.encode(values))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def model_folder(folder: Path) -> Contract:
    """A complete model folder with random weights."""
    torch.manual_seed(0)
    cameras = (CameraSpec("wrist", 64, 64),)
    vla = TinyVLA(TinyNetwork(TinyConfig(cameras, ("x",), ("x",), width=32, depth=1)), "push it")
    made = TokenEncoder(vla.token_count, vla.width, SIZE)
    one = np.ones(1, dtype=np.float32)
    zeros = np.zeros(SIZE, dtype=np.float32)
    contract = Contract(
        vla_backend="tiny", vla_digest=vla.digest(), token_digest=made.digest(),
        instruction="push it", cameras=cameras, proprio=VectorSpec(("x",), ("m",), "tcp"),
        action=ActionSpace((joints("arm", ("x",)),)),
        normaliser=Normaliser(one, one, one, zeros, zeros + 1.0),
    )
    vla.save(folder)
    made.save(folder)
    contract.save(folder / "contract.json")
    return contract


def test_a_model_folder_round_trips(tmp_path: Path) -> None:
    contract = model_folder(tmp_path)
    vla, loaded, found = load_model(tmp_path)
    assert found.hash() == contract.hash()
    assert vla.digest() == contract.vla_digest and loaded.digest() == contract.token_digest
    changed = contract.replace(planning_delay_ticks=2)
    assert load_model(tmp_path, changed)[2] is changed


@pytest.mark.parametrize("name", ["contract.json", "vla.safetensors", "rl_token.safetensors"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path, name: str) -> None:
    model_folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}.*pretrain --task"):
        load_model(tmp_path)


def test_foreign_weights_are_refused_with_both_digests(tmp_path: Path) -> None:
    contract = model_folder(tmp_path)
    wrong = contract.replace(token_digest="0" * 64)
    with pytest.raises(ContractMismatch, match=rf"{contract.token_digest}.*{'0' * 64}"):
        load_model(tmp_path, wrong)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="'huge'.*tiny"):
        backend("huge")
