"""Weight files: safetensors whose header carries the architecture as JSON, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save


def save_weights(path: Path, tensors: Mapping[str, torch.Tensor], config: dict[str, Any]) -> None:
    """Write tensors with the architecture to which they belong."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {"config": json.dumps(config, sort_keys=True)}
    path.write_bytes(save(contiguous, metadata=metadata))


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file written by `save_weights`.

    Returns:
        The tensors by name, and the architecture.

    Raises:
        FileNotFoundError: If the file is missing; names the command that creates it.
        ValueError: If it is not a weight file.
    """
    command = f"ros2 run rlt_learner pretrain --task {path.parent.name}"
    if not path.is_file():
        raise FileNotFoundError(f"no model file at {path}: run `{command}`")
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads(file.metadata()["config"])
            return {name: file.get_tensor(name) for name in file.keys()}, config  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a weight file of this suite ({error}): run `{command}`"
        ) from error


def weights_digest(tensors: Mapping[str, torch.Tensor], config: dict[str, Any]) -> str:
    """SHA-256 of an architecture and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
