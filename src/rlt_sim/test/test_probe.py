"""Linear probes measure what is there and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from rlt_sim.pretrain.probe import Samples, pca, ridge_probe, score


def samples(episodes: range, noise: float, seed: int, informative: bool = True) -> Samples:
    rng = np.random.default_rng(seed)
    number = np.repeat(np.array(episodes), 30)
    offsets = rng.normal(size=(number.size, 4)) * [1e-3, 2e-3, 3e-3, 0.05]
    mixing = np.random.default_rng(7).normal(size=(4, 20)) * 100.0
    features = offsets @ mixing + 5.0 if informative else rng.normal(size=(number.size, 20))
    return Samples(features, offsets + rng.normal(size=offsets.shape) * noise, number)


def test_a_linear_code_is_read_out_to_the_noise() -> None:
    result = ridge_probe(samples(range(20), 1e-4, 0), samples(range(20, 30), 1e-4, 1))
    np.testing.assert_allclose(result.rmse, 1e-4, rtol=0.2)
    assert (result.r2 > 0.97).all()


def test_noise_explains_nothing() -> None:
    result = ridge_probe(
        samples(range(20), 0.0, 0, informative=False),
        samples(range(20, 30), 0.0, 1, informative=False),
    )
    assert (np.abs(result.r2) < 0.1).all()


def test_episodes_must_not_leak() -> None:
    with pytest.raises(ValueError, match="held-out"):
        ridge_probe(samples(range(3), 0.0, 0), samples(range(2, 4), 0.0, 1))
    with pytest.raises(ValueError, match="two episodes"):
        ridge_probe(samples(range(1), 0.0, 0), samples(range(2, 4), 0.0, 1))


def test_score_of_the_mean_is_zero_and_of_the_truth_is_one() -> None:
    offsets = samples(range(5), 0.0, 0).offsets
    np.testing.assert_allclose(score(offsets, offsets).r2, 1.0)
    np.testing.assert_allclose(score(offsets * 0.0 + offsets.mean(0), offsets).r2, 0, atol=1e-9)


def test_pca_keeps_the_directions_of_variance() -> None:
    fit = samples(range(20), 0.0, 0)
    other = samples(range(20, 30), 0.0, 1)
    compressed = pca(fit.features, [fit.features, other.features], 4)
    assert compressed[0].shape == (600, 4) and compressed[1].shape == (300, 4)
    result = ridge_probe(
        Samples(compressed[0], fit.offsets, fit.episodes),
        Samples(compressed[1], other.offsets, other.episodes),
    )
    assert (result.r2 > 0.99).all()
