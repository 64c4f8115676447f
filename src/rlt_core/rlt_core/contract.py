"""The contract that binds VLA, RL token, normaliser and action space, and its hash."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlt_core.action_space import ActionSpace, group_from
from rlt_core.records import FloatArray

SCHEMA = 2


class ContractMismatch(ValueError):
    """Two parties do not use the same contract."""


@dataclass(frozen=True)
class CameraSpec:
    """One camera as the VLA sees it: name, size in pixels and encoding."""

    name: str
    width: int
    height: int
    encoding: str = "rgb8"


@dataclass(frozen=True)
class VectorSpec:
    """A named vector: one name and one SI unit per element.

    Attributes:
        names: Names of the elements, e.g. ("x", "y", "z", "fx").
        units: SI unit of each element, e.g. ("m", "m", "m", "N").
        kind: Meaning of the vector, e.g. "tcp_wrench".
        frame: Frame in which it is expressed, e.g. "base_link".
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    kind: str
    frame: str = "base_link"

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.names)


@dataclass(frozen=True)
class Normaliser:
    """Frozen scales between SI and the networks' units; computed in pretraining.

    An action in network units is `action / action_scale`; proprioception and token are
    standardised with mean and standard deviation and clipped to +-`clip`.

    Attributes:
        action_scale: float32 (A,), SI increment per tick that maps to 1.
        proprio_mean, proprio_std: float32 (P,).
        token_mean, token_std: float32 (Z,).
        clip: Bound of standardised values.
    """

    action_scale: FloatArray
    proprio_mean: FloatArray
    proprio_std: FloatArray
    token_mean: FloatArray
    token_std: FloatArray
    clip: float = 5.0

    def actions(self, actions: NDArray[Any]) -> FloatArray:
        """Normalise SI increments (..., A)."""
        return np.asarray(actions / self.action_scale, dtype=np.float32)

    def to_si(self, actions: NDArray[Any]) -> FloatArray:
        """Return SI increments (..., A) of normalised actions."""
        return np.asarray(actions * self.action_scale, dtype=np.float32)

    def proprio(self, proprio: NDArray[Any]) -> FloatArray:
        """Standardise proprioception (..., P)."""
        scaled = (proprio - self.proprio_mean) / self.proprio_std
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def token(self, token: NDArray[Any]) -> FloatArray:
        """Standardise RL tokens (..., Z)."""
        scaled = (token - self.token_mean) / self.token_std
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)


@dataclass(frozen=True)
class Contract:
    """Everything that VLA, token, learner and controller must agree on.

    Attributes:
        vla_backend: Name of the VLA backend (entry point of `rlt.vla`).
        vla_digest: SHA-256 of the VLA's weights.
        token_digest: SHA-256 of the RL token's weights.
        instruction: The language instruction of the task.
        cameras: Cameras in the VLA's order.
        proprio: Proprioception vector.
        action: Groups of the action vector (increments per tick).
        normaliser: Frozen normaliser.
        horizon: Length H of the reference chunk in ticks.
        chunk: Length C of the executed chunk in ticks.
        stride: Ticks between two observations.
        rate_hz: Control rate.
        planning_delay_ticks: Ticks d from observation to the chunk's first tick.
    """

    vla_backend: str
    vla_digest: str
    token_digest: str
    instruction: str
    cameras: tuple[CameraSpec, ...]
    proprio: VectorSpec
    action: ActionSpace
    normaliser: Normaliser
    horizon: int = 50
    chunk: int = 10
    stride: int = 2
    rate_hz: float = 50.0
    planning_delay_ticks: int = 0
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Check that the run constants work together.

        Raises:
            ValueError: If d + C + stride > H or C is not a multiple of the stride.
        """
        if self.planning_delay_ticks + self.chunk + self.stride > self.horizon:
            raise ValueError(
                f"planning_delay_ticks {self.planning_delay_ticks} + chunk {self.chunk} + stride "
                f"{self.stride} exceeds the reference horizon {self.horizon}: shorten one of them"
            )
        if self.chunk % self.stride:
            raise ValueError(f"chunk {self.chunk} is not a multiple of stride {self.stride}")

    @property
    def dt(self) -> float:
        """Control period in seconds."""
        return 1.0 / self.rate_hz

    @property
    def token_size(self) -> int:
        """Width Z of the RL token."""
        return int(self.normaliser.token_mean.shape[0])

    @property
    def state_size(self) -> int:
        """Width of the actor-critic's state x: token, proprioception, d committed actions."""
        return (
            self.token_size + self.proprio.size + self.planning_delay_ticks * self.action.size
        )

    def hash(self) -> str:
        """SHA-256 of the canonical JSON; arrays enter as SHA-256 of their little-endian f32."""
        return self._hash

    @functools.cached_property
    def _hash(self) -> str:  # cached: it is compared with the hash of every message
        return hashlib.sha256(_canonical(self).encode()).hexdigest()

    def require(self, other_hash: str, who: str) -> None:
        """Check that a party uses this contract.

        Raises:
            ContractMismatch: If the hashes differ; the message names both.
        """
        if other_hash != self.hash():
            raise ContractMismatch(
                f"{who} works under contract {other_hash or '(none)'}, this process under "
                f"{self.hash()}: start both with the same model, task and run constants"
            )

    def replace(self, **changes: Any) -> Contract:
        """Return a copy with some run constants changed."""
        return dataclasses.replace(self, **changes)

    def save(self, path: Path) -> None:
        """Write the contract as readable JSON."""
        path.write_text(json.dumps(_plain(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read a contract written by `save`.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If it is not a contract of this schema.
        """
        if not path.is_file():
            command = f"ros2 run rlt_learner pretrain --task {path.parent.name}"
            raise FileNotFoundError(f"no contract at {path}: run `{command}`")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] != SCHEMA:
                raise ValueError(f"schema {raw['schema']}, expected {SCHEMA}")
            raw["cameras"] = tuple(CameraSpec(**camera) for camera in raw["cameras"])
            proprio: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in raw["proprio"].items()
            }
            raw["proprio"] = VectorSpec(**proprio)
            raw["action"] = ActionSpace(tuple(map(group_from, raw["action"]["groups"])))
            scales = raw["normaliser"]
            clip = scales.pop("clip")
            arrays = {name: np.asarray(values, np.float32) for name, values in scales.items()}
            raw["normaliser"] = Normaliser(**arrays, clip=clip)
            return cls(**raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not an RLT contract: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [float(item) for item in value]
    return value


def _canonical(contract: Contract) -> str:
    def digest(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: digest(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, tuple):
            return [digest(item) for item in value]
        if isinstance(value, np.ndarray):
            return hashlib.sha256(np.ascontiguousarray(value, "<f4").tobytes()).hexdigest()
        return value

    return json.dumps(digest(contract), sort_keys=True, separators=(",", ":"))
