"""The weights of a checkpoint: those in use are logged, and a damaged generation is never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rlt_core.contract import Contract, ContractMismatch
from rlt_core.log import checkpoint
from rlt_interfaces.msg import PolicyWeights
from rlt_policy.policy.actor_weights import from_checkpoint, from_message

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"


class Sayings:
    """What was logged, by level."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.errors: list[str] = []
        self.info, self.error = self.infos.append, self.errors.append


@pytest.fixture
def contract() -> Contract:
    return Contract.load(MODEL / "contract.json")


@pytest.fixture
def folder(tmp_path: Path, contract: Contract) -> Path:
    """A checkpoint of version 2, with version 1 as the one before."""
    for version in (1, 2):
        tensors = {"actor.w": torch.full((3,), version), "critic.w": torch.zeros(1)}
        meta = {"contract_hash": contract.hash(), "policy_version": version}
        checkpoint.save(tmp_path, tensors, meta)
    return tmp_path


def damage(folder: Path, manifest: str) -> None:
    name = json.loads((folder / manifest).read_text())["tensors"]["file"]
    (folder / name).write_bytes(b"damaged")


def test_the_newest_weights_act_and_their_version_is_said(folder, contract):
    said = Sayings()
    version, actor = from_checkpoint(folder, contract, said)
    assert version == 2 and {name: w.tolist() for name, w in actor.items()} == {"w": [2, 2, 2]}
    assert said.infos == [f"version 2 of the weights is used, from {folder}"] and not said.errors


def test_the_previous_weights_act_if_the_newest_are_damaged_and_an_error_says_so(folder, contract):
    said = Sayings()
    damage(folder, "manifest.json")
    version, actor = from_checkpoint(folder, contract, said)
    assert version == 1 and actor["w"].tolist() == [1, 1, 1]
    (error,) = said.errors
    assert error.startswith(f"version 1 of the weights is used, from {folder}, of the previous ")
    assert "SHA-256" in error and not said.infos


def test_two_damaged_generations_are_refused(folder, contract):
    for manifest in ("manifest.json", "previous.json"):
        damage(folder, manifest)
    with pytest.raises(ValueError, match="both generations in"):
        from_checkpoint(folder, contract, Sayings())


def test_a_checkpoint_of_another_contract_is_refused(folder, contract):
    path = folder / "manifest.json"
    entry = json.loads(path.read_text())
    entry["meta"]["contract_hash"] = "beef"
    path.write_text(json.dumps(entry))
    with pytest.raises(ContractMismatch, match="beef"):
        from_checkpoint(folder, contract, Sayings())


def message(contract: Contract, **other: object) -> PolicyWeights:
    data, sha256 = checkpoint.encode({"w": torch.ones(3)})
    values = {"run": "run", "version": 3, "contract_hash": contract.hash(), "sha256": sha256}
    return PolicyWeights(**values | {"data": data} | other)


def test_weights_that_a_learner_sends_act(contract):
    for run in ("run", None):  # None: before the run is known
        assert from_message(message(contract), contract, run, 3)["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("other", "finding"),
    [
        ({"run": "yesterday"}, "of run 'yesterday', this is run 'run'"),
        ({"version": 2}, "older than version 3"),
        ({"contract_hash": "beef"}, "beef"),
        ({"sha256": "0" * 64}, "the data is damaged"),
    ],
)
def test_weights_that_must_not_act_are_refused(contract, other, finding):
    with pytest.raises(ValueError, match=finding):
        from_message(message(contract, **other), contract, "run", 3)
