"""Linear probes: how much of the task's geometry a representation holds.

A ridge regression from features to the plug-to-socket offset, fitted on some episodes and scored
on others. The RL token is compared with what it was made from: pooled, PCA-compressed and raw
embeddings. The offset is the simulator's and is used for measurement only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PENALTIES = np.logspace(-2, 5, 8)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Frames to fit or score a probe on.

    Attributes:
        features: (N, F), any scale.
        offsets: (N, A), plug-to-socket offset, SI.
        episodes: (N,), number of the episode of every frame.
    """

    features: NDArray[Any]
    offsets: NDArray[Any]
    episodes: NDArray[Any]


@dataclass(frozen=True)
class ProbeResult:
    """Score of a probe on held-out episodes.

    Attributes:
        r2: (A,), share of each axis' variance that is explained; negative if worse than the mean.
        rmse: (A,), root-mean-square error per axis, SI.
    """

    r2: Matrix
    rmse: Matrix


def ridge_probe(fit: Samples, held_out: Samples) -> ProbeResult:
    """Fit a ridge regression and score it on other episodes.

    The penalty is chosen on a fifth of the fitting episodes, never on the held-out ones.

    Raises:
        ValueError: If an episode is in both sets or fewer than two are there to fit.
    """
    if np.intersect1d(fit.episodes, held_out.episodes).size:
        raise ValueError("a probe's held-out episodes must not be among those it is fitted on")
    episodes = np.unique(fit.episodes)
    if episodes.size < 2:
        raise ValueError(f"a probe needs two episodes to fit on, got {episodes.size}")
    mean, std = fit.features.mean(axis=0), fit.features.std(axis=0) + 1e-6
    x = np.asarray((fit.features - mean) / std, dtype=np.float64)
    inner = np.isin(fit.episodes, episodes[: max(1, episodes.size * 4 // 5)])
    spectrum = _Ridge(x[inner], fit.offsets[inner])
    left = fit.offsets[~inner]
    errors = [
        np.mean(((spectrum.predict(x[~inner], penalty) - left) / spectrum.scale) ** 2)
        for penalty in _PENALTIES
    ]
    penalty = float(_PENALTIES[int(np.argmin(errors))])
    predicted = _Ridge(x, fit.offsets).predict((held_out.features - mean) / std, penalty)
    return score(predicted, held_out.offsets)


def score(predicted: NDArray[Any], offsets: NDArray[Any]) -> ProbeResult:
    """R2 and RMSE of predicted offsets (N, A)."""
    squared = np.mean((np.asarray(predicted, dtype=np.float64) - offsets) ** 2, axis=0)
    variance = np.var(np.asarray(offsets, dtype=np.float64), axis=0)
    return ProbeResult(r2=1.0 - squared / np.maximum(variance, 1e-12), rmse=np.sqrt(squared))


def pca(fit: NDArray[Any], others: list[NDArray[Any]], components: int) -> list[Matrix]:
    """Project standardised features on the leading principal components of `fit` (N, F)."""
    mean, std = fit.mean(axis=0), fit.std(axis=0) + 1e-6
    _, vectors = _spectrum(np.asarray((fit - mean) / std, dtype=np.float64))
    basis = vectors[:, :components]
    return [np.asarray((x - mean) / std, dtype=np.float64) @ basis for x in others]


def _spectrum(x: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues and eigenvectors (F, K) of x'x for x (N, F), largest first, zeros left out.

    Decomposes x'x or xx', whichever is smaller.
    """
    rows, columns = x.shape
    values, vectors = np.linalg.eigh(x @ x.T if rows < columns else x.T @ x)
    kept = values > 1e-10 * values[-1]
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    if rows < columns:
        vectors = x.T @ vectors / np.sqrt(values)
    return values, vectors


class _Ridge:
    """Ridge regression for many penalties at the cost of one eigendecomposition."""

    def __init__(self, x: Matrix, y: NDArray[Any]) -> None:
        self._x_mean, self._y_mean = x.mean(axis=0), y.mean(axis=0)
        self.scale = y.std(axis=0) + 1e-12
        centred = x - self._x_mean
        self._values, self._vectors = _spectrum(centred)
        self._target = self._vectors.T @ (centred.T @ (y - self._y_mean))

    def predict(self, x: NDArray[Any], penalty: float) -> Matrix:
        shrunk = self._target / (self._values + penalty)[:, None]
        return np.asarray((x - self._x_mean) @ (self._vectors @ shrunk) + self._y_mean)
