"""Checkpoints: whole or not at all, verified, without pickle."""

from __future__ import annotations

import json

import pytest
import torch

from rlt_core import checkpoint

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1], dtype=torch.int64)}
META = {"version": 3, "big": 2**100, "nested": {"x": [1, 2]}}


def test_what_was_saved_comes_back(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, META)
    tensors, meta = checkpoint.load(tmp_path / "c")
    assert meta == META and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert tensors["b"].dtype == torch.int64


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_behind(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {"version": 4})
    tensors, meta = checkpoint.load(tmp_path)
    assert meta == {"version": 4} and torch.equal(tensors["a"], torch.zeros(1))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_killed_at_any_step_the_folder_holds_the_old_or_the_new(tmp_path, monkeypatch, step):
    checkpoint.save(tmp_path, TENSORS, {"version": 1})
    calls = 0

    class Killed(BaseException):
        pass

    def dying(function):
        def call(*arguments):
            nonlocal calls
            calls += 1
            if calls == step:
                raise Killed
            return function(*arguments)

        return call

    monkeypatch.setattr(checkpoint.os, "replace", dying(checkpoint.os.replace))
    monkeypatch.setattr(checkpoint.os, "fsync", dying(checkpoint.os.fsync))
    with pytest.raises(Killed):
        checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {"version": 2})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path)[1]["version"] in (1, 2)
    checkpoint.save(tmp_path, TENSORS, {"version": 3})
    assert checkpoint.load(tmp_path)[1]["version"] == 3


def test_no_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in .*manifest.json is missing"):
        checkpoint.load(tmp_path)


def test_a_damaged_tensor_file_is_found_by_its_digest(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256 is .* expected .* damaged"):
        checkpoint.load(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="which is missing"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "tensors": 3, "meta": {}}'])
def test_a_broken_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="is no checkpoint manifest"):
        checkpoint.load(tmp_path)


def test_missing_metadata_is_named_with_the_remedy(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    checkpoint.load(tmp_path, "version", "nested")
    with pytest.raises(ValueError, match="manifest.json lacks contract_hash, run: name one"):
        checkpoint.load(tmp_path, "version", "contract_hash", "run")


def test_another_schema_is_refused(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(ValueError, match="schema 2, expected 1"):
        checkpoint.load(tmp_path)


def test_weights_survive_the_wire_and_damage_does_not():
    data, digest = checkpoint.encode(TENSORS)
    assert torch.equal(checkpoint.decode(data, digest)["a"], TENSORS["a"])
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.decode(data[:-1], digest)
    import hashlib

    junk = b"not safetensors at all"
    with pytest.raises(ValueError, match="no safetensors data"):
        checkpoint.decode(junk, hashlib.sha256(junk).hexdigest())


def test_encoding_is_deterministic():
    assert checkpoint.encode(TENSORS) == checkpoint.encode(dict(TENSORS))
