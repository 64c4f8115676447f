"""Checkpoints and weights as safetensors with a JSON manifest: atomic, verified, no pickle.

A checkpoint is a folder with one tensor file and `manifest.json`, which names the file and its
SHA-256. Replacing the manifest is the one step that makes a new checkpoint valid: killed at any
moment, the folder holds the old checkpoint or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

SCHEMA = 1
MANIFEST = "manifest.json"


def encode(tensors: Mapping[str, Tensor]) -> tuple[bytes, str]:
    """Return tensors as the bytes of a safetensors file, and their SHA-256."""
    data = safetensors.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    return data, hashlib.sha256(data).hexdigest()


def decode(data: bytes, sha256: str, origin: str = "policy weights") -> dict[str, Tensor]:
    """Return the tensors of `encode`.

    Args:
        data: Bytes of a safetensors file.
        sha256: Their expected SHA-256, hexadecimal.
        origin: Where they come from, for the error.

    Raises:
        ValueError: If the bytes are damaged.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{origin}: SHA-256 is {found}, expected {sha256}: the data is damaged, copy or save "
            "it again"
        )
    try:
        return safetensors.load(data)
    except SafetensorError as error:
        raise ValueError(
            f"{origin}: no safetensors data ({error}): send or name what this suite's learner saved"
        ) from error


def save(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write or replace a checkpoint.

    Args:
        folder: Folder of the checkpoint; made if missing.
        tensors: What to save.
        meta: JSON values to save beside them.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, sha256 = encode(tensors)
    name = f"tensors-{sha256[:16]}.safetensors"
    _write(folder / name, data)
    manifest = {"schema": SCHEMA, "tensors": {"file": name, "sha256": sha256}, "meta": meta}
    _write(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    for old in folder.glob("tensors-*.safetensors*"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load(folder: Path, *needed: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and verify a checkpoint.

    Args:
        folder: Folder of the checkpoint.
        *needed: Names that its meta must hold.

    Returns:
        Tensors and meta, as saved.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged, of another schema, or its meta lacks a needed name.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint in {folder}: {MANIFEST} is missing; name the folder `checkpoint` of a "
            "finished run"
        )
    try:
        manifest = json.loads(path.read_text())
        schema, entry, meta = manifest["schema"], manifest["tensors"], manifest["meta"]
        file, sha256 = folder / entry["file"], entry["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no checkpoint manifest ({error!r}): name the folder `checkpoint` of a run"
        ) from error
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema}, expected {SCHEMA}: use a matching version")
    missing = [name for name in needed if not isinstance(meta, dict) or name not in meta]
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}: name one that this version's learner saved"
        )
    if not file.is_file():
        raise FileNotFoundError(f"{path} names {file.name}, which is missing: copy all files")
    return decode(file.read_bytes(), sha256, str(file)), meta


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it exists completely or not at all, also after a power cut."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
