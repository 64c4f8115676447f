"""Loads a model folder: VLA backend, RL token and contract, checked against each other."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from rlt_core.contract import Contract, ContractMismatch
from rlt_core.rl.rl_token import TokenEncoder
from rlt_core.vla.base import VLA
from rlt_core.vla.tiny import TinyVLA

CONTRACT_FILE = "contract.json"
_BUILT_IN: dict[str, type[VLA]] = {"tiny": TinyVLA}


def backend(name: str) -> type[VLA]:
    """Find a VLA backend: built in, or the entry point `name` of the group `rlt.vla`.

    Raises:
        ValueError: If it does not exist; lists the installed ones.
    """
    found = {point.name: point for point in entry_points(group="rlt.vla")}
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in found:
        known = ", ".join(sorted({*_BUILT_IN, *found}))
        raise ValueError(f"unknown VLA backend {name!r}: installed are {known}")
    loaded: type[VLA] = found[name].load()
    return loaded


def load_model(
    folder: Path, contract: Contract | None = None
) -> tuple[VLA, TokenEncoder, Contract]:
    """Load VLA, RL token and contract of a model folder, and check that they belong together.

    Args:
        folder: Folder written by `pretrain`, e.g. models/ethernet.
        contract: Contract to use; by default the one in the folder.

    Returns:
        The VLA, the RL token encoder, the contract.

    Raises:
        FileNotFoundError: If a file is missing; names it and the command that creates it.
        ContractMismatch: If the weights are not those that the contract names.
        ValueError: If a file does not have the expected content or the backend is unknown.
    """
    contract = contract or Contract.load(folder / CONTRACT_FILE)
    vla = backend(contract.vla_backend).load(folder, contract.instruction)
    encoder = TokenEncoder.load(folder)
    _require_digest("VLA weights", vla.digest(), contract.vla_digest, folder)
    _require_digest("RL token weights", encoder.digest(), contract.token_digest, folder)
    return vla, encoder, contract


def _require_digest(what: str, found: str, expected: str, folder: Path) -> None:
    if found != expected:
        raise ContractMismatch(
            f"{what} in {folder} have digest {found}, the contract names {expected}: use the model "
            "folder that the contract was made with"
        )
