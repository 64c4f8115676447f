"""Checkpoints and weights as safetensors with a JSON manifest: atomic, verified, no pickle.

A checkpoint is a folder with a tensor file and `manifest.json`, which names the file and its
SHA-256. Replacing the manifest is the single step that makes a new checkpoint valid: if the process
is killed, the folder holds the old checkpoint or the new one. The previous generation stays next to
it as `previous.json`, in case a disk damages the newest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from rlt_core.files import replace_file
from rlt_core.log.run_files import MANIFEST, PREVIOUS, require_checkpoint

SCHEMA = 1
MAX_BYTES = 1 << 30
"""Hundreds of times the size of this suite's actor-critic; a larger file is not read."""
MAX_MANIFEST_BYTES = 1 << 24
"""Enough for the results of fifty thousand episodes; a larger manifest is not read."""


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
        ValueError: If the bytes are damaged, or too many to have been saved by this suite.
    """
    _require_size(len(data), origin)
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
            f"{origin}: not safetensors data ({error}): use a file saved by this suite's learner"
        ) from error


def save(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write or replace a checkpoint; the old one becomes the previous generation.

    The previous generation always has different tensors, in a separate file.

    Args:
        folder: Folder of the checkpoint; created if missing.
        tensors: What to save.
        meta: JSON values to save with them.

    Raises:
        OSError: If the folder cannot be written; its old checkpoint stays valid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, sha256 = encode(tensors)
    name = f"tensors-{sha256[:16]}.safetensors"
    replace_file(folder / name, data)
    manifest = {"schema": SCHEMA, "tensors": {"file": name, "sha256": sha256}, "meta": meta}
    _keep_previous(folder, name)
    replace_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    named = {name, *_named(folder / PREVIOUS)}
    for old in folder.glob("tensors-*.safetensors*"):
        if old.name not in named:
            old.unlink(missing_ok=True)


def load(folder: Path, *needed: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and verify the newest checkpoint of a folder.

    Args:
        folder: Folder of the checkpoint.
        *needed: Names that its meta must contain.

    Returns:
        Tensors and meta, as saved.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged, lacks its tensor file, has another schema, or its meta lacks
            a needed name.
    """
    require_checkpoint(folder, MANIFEST)
    return _load(folder / MANIFEST, needed)


def recover(folder: Path, *needed: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """As `load`; if the newest generation is damaged, the previous one is read instead.

    Returns:
        Tensors, meta, and what was wrong with the newest generation, empty if nothing.

    Raises:
        FileNotFoundError: If there is no checkpoint of either generation.
        ValueError: If none is valid: a damaged checkpoint is never replaced by a new start.
    """
    try:
        return *load(folder, *needed), ""
    except (OSError, ValueError) as newest:
        if not (folder / PREVIOUS).is_file():
            raise
        try:
            return *_load(folder / PREVIOUS, needed), str(newest)
        except (OSError, ValueError) as previous:
            raise ValueError(
                f"both generations in {folder} are damaged ({newest}; {previous}): copy the "
                "folder from a backup, or remove it to learn again from the run's log"
            ) from previous


def _load(path: Path, needed: tuple[str, ...]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and verify the generation of one manifest."""
    try:
        manifest = _manifest(path)
        schema, meta, sha256 = manifest["schema"], manifest["meta"], manifest["tensors"]["sha256"]
        file = path.parent / _file_name(manifest)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a checkpoint manifest ({error!r}): name a run's folder `checkpoint`"
        ) from error
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema}, expected {SCHEMA}: use a matching version")
    missing = [name for name in needed if not isinstance(meta, dict) or name not in meta]
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}: name one saved by this version's learner"
        )
    if not file.is_file():
        raise ValueError(f"{path} names {file.name}, which is missing: copy all files")
    _require_size(file.stat().st_size, str(file))
    return decode(file.read_bytes(), sha256, str(file)), meta


def _keep_previous(folder: Path, tensors: str) -> None:
    """Keep the newest generation as the previous one, unless damaged or with the same tensors.

    Two generations in one tensor file would be damaged together.

    Args:
        folder: Folder of the checkpoint.
        tensors: Name of the new generation's tensor file.
    """
    path = folder / MANIFEST
    if not path.is_file() or tensors in _named(path):
        return
    try:
        _load(path, ())
    except (OSError, ValueError):
        return  # keep the previous generation: it may be valid
    replace_file(folder / PREVIOUS, path.read_bytes())


def _named(path: Path) -> set[str]:
    """Name of the tensor file that a manifest points to, if there is one."""
    try:
        return {_file_name(_manifest(path))}
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return set()


def _manifest(path: Path) -> Any:
    """Read a manifest without checking it; RecursionError if it is nested too deeply."""
    size = path.stat().st_size
    if size > MAX_MANIFEST_BYTES:
        raise ValueError(f"{size} bytes, expected at most {MAX_MANIFEST_BYTES}")
    return json.loads(path.read_text(encoding="utf-8"))


def _file_name(manifest: Any) -> str:
    """Name of the tensor file, which must be in the folder of its manifest."""
    name = manifest["tensors"]["file"]
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"its tensor file is {name!r}, expected the name of a file in its folder")
    return str(name)


def _require_size(size: int, origin: str) -> None:
    if size > MAX_BYTES:
        raise ValueError(
            f"{origin}: {size} bytes, expected at most {MAX_BYTES}: it was not saved by this suite"
        )
