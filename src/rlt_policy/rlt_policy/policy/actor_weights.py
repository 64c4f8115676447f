"""The actor's weights, from a checkpoint or from the learner: verified before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.settings import setting


@dataclass(frozen=True)
class PolicySettings:
    """Which weights are used before a learner sends some."""

    checkpoint: str = setting(
        "", "checkpoint folder whose actor acts; empty: the learner's", path=True
    )


def from_checkpoint(
    folder: Path, contract: Contract, logger: Any
) -> tuple[int, dict[str, Tensor]]:
    """Version and weights of the actor in a checkpoint; of the previous one if it is damaged.

    Args:
        folder: Folder of the checkpoint.
        contract: The run's contract.
        logger: Logs which weights are used; as an error if they are not the newest.

    Raises:
        OSError: If there is no checkpoint.
        ValueError: If it is damaged in both generations, or of another contract.
    """
    tensors, meta, fault = checkpoint.recover(folder, "contract_hash", "policy_version")
    contract.require(meta["contract_hash"], f"checkpoint {folder}")
    used = f"version {meta['policy_version']} of the weights is used, from {folder}"
    if fault:
        logger.error(f"{used}, of the previous checkpoint, since the newest is damaged: {fault}")
    else:
        logger.info(used)
    actor = {
        name.removeprefix("actor."): tensor
        for name, tensor in tensors.items()
        if name.startswith("actor.")
    }
    return meta["policy_version"], actor


def from_message(
    message: Any, contract: Contract, run: str | None, acting: int
) -> dict[str, Tensor]:
    """Weights of the actor in a `PolicyWeights` message.

    Args:
        message: The message.
        contract: The run's contract.
        run: Identifier of the run, None before it is known. An old learner may still send weights
            of another run.
        acting: Version in use: a learner that went back in time must not replace it.

    Raises:
        ValueError: If they are damaged, older, of another contract or of another run.
    """
    if run is not None and message.run != run:
        raise ValueError(
            f"they are of run {message.run!r}, this is run {run!r}: a learner of this run "
            "sends others; if none arrive, end the one that still serves the old run"
        )
    contract.require(message.contract_hash, "the learner")
    if message.version < acting:
        raise ValueError(
            f"they are older than version {acting}, which is in use: the learner was restarted and "
            "has not caught up yet, or a second one runs"
        )
    return checkpoint.decode(bytes(message.data), message.sha256)
