"""Checkpoints: atomic, verified, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import resource
import signal
import time

import pytest
import torch

from rlt_core.log import checkpoint

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1], dtype=torch.int64)}
META = {"version": 3, "big": 2**100, "nested": {"x": [1, 2]}}


def test_what_was_saved_comes_back(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, META)
    tensors, meta = checkpoint.load(tmp_path / "c")
    assert meta == META and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert tensors["b"].dtype == torch.int64


def test_a_new_checkpoint_replaces_the_old_and_two_generations_stay(tmp_path):
    for version in (1, 2, 3):
        checkpoint.save(tmp_path, {"a": torch.full((1,), version)}, {"version": version})
    tensors, meta = checkpoint.load(tmp_path)
    assert meta == {"version": 3} and tensors["a"].item() == 3
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [
        ".json", ".json", ".safetensors", ".safetensors"
    ]


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newest_tensors(folder):
    return folder / json.loads((folder / "manifest.json").read_text())["tensors"]["file"]


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (lambda folder: damage(newest_tensors(folder)), "SHA-256"),
        (lambda folder: os.truncate(newest_tensors(folder), 9), "SHA-256"),
        (lambda folder: newest_tensors(folder).unlink(), "which is missing"),
        (lambda folder: os.truncate(folder / "manifest.json", 30), "not a checkpoint manifest"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
    ],
)
def test_a_damaged_generation_falls_back_to_the_one_before_and_says_so(tmp_path, harm, finding):
    for version in (1, 2):
        checkpoint.save(tmp_path, {"a": torch.full((1,), version)}, {"version": version})
    assert checkpoint.recover(tmp_path)[2] == ""
    harm(tmp_path)
    with pytest.raises((OSError, ValueError), match=finding):
        checkpoint.load(tmp_path)
    tensors, meta, fault = checkpoint.recover(tmp_path)
    assert meta["version"] == 1 and tensors["a"].item() == 1 and finding in fault
    checkpoint.save(tmp_path, {"a": torch.full((1,), 3)}, {"version": 3})
    assert checkpoint.load(tmp_path)[1]["version"] == 3
    damage(newest_tensors(tmp_path))
    assert checkpoint.recover(tmp_path)[1]["version"] == 1  # the damaged one was not kept


def test_two_generations_never_share_a_tensor_file(tmp_path):
    checkpoint.save(tmp_path, {"a": torch.zeros(9)}, {"version": 1})
    for version in (2, 3):
        checkpoint.save(tmp_path, {"a": torch.ones(9)}, {"version": version})
    damage(newest_tensors(tmp_path))
    assert checkpoint.recover(tmp_path)[1]["version"] == 1


def test_two_damaged_generations_are_an_error_never_a_new_beginning(tmp_path):
    for version in (1, 2):
        checkpoint.save(tmp_path, {"a": torch.full((1,), version)}, {"version": version})
    for file in tmp_path.glob("*.safetensors"):
        damage(file)
    with pytest.raises(ValueError, match="both generations in .* are damaged"):
        checkpoint.recover(tmp_path)


def test_no_checkpoint_at_all_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        checkpoint.recover(tmp_path)


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_is_refused_and_never_run(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, META)
    file = newest_tensors(tmp_path / "c")
    file.write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    manifest = tmp_path / "c" / "manifest.json"
    entry = json.loads(manifest.read_text())
    entry["tensors"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match="not safetensors data"):
        checkpoint.load(tmp_path / "c")
    assert not (tmp_path / "canary").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "canary").exists(), "the canary has no effect: this test proves nothing"


def test_an_oversized_file_is_not_read(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    os.truncate(newest_tensors(tmp_path), checkpoint.MAX_BYTES + 1)  # sparse: no disk is used
    with pytest.raises(ValueError, match="1073741825 bytes, expected at most 1073741824"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("step", range(1, 10))
def test_killed_at_any_step_the_folder_holds_the_old_or_the_new(tmp_path, monkeypatch, step):
    checkpoint.save(tmp_path, TENSORS, {"version": 0})
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

    monkeypatch.setattr(os, "replace", dying(os.replace))
    monkeypatch.setattr(os, "fsync", dying(os.fsync))
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
    for read in (checkpoint.load, checkpoint.recover):  # not "no checkpoint"
        with pytest.raises(ValueError, match="which is missing"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "tensors": 3, "meta": {}}'])
def test_a_broken_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="is not a checkpoint manifest"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_manifest_that_points_out_of_its_folder_is_refused(tmp_path, absolute):
    for name in ("c", "elsewhere"):
        checkpoint.save(tmp_path / name, TENSORS, META)
    path = tmp_path / "c" / "manifest.json"
    entry = json.loads(path.read_text())
    other = newest_tensors(tmp_path / "elsewhere")
    entry["tensors"]["file"] = str(other) if absolute else f"../elsewhere/{other.name}"
    path.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match="expected the name of a file in its folder"):
        checkpoint.load(tmp_path / "c")


@pytest.mark.parametrize("name", ["", ".", "..", 3, None, ["tensors-0.safetensors"]])
def test_a_manifest_that_names_no_file_is_refused(tmp_path, name):
    checkpoint.save(tmp_path, TENSORS, META)
    path = tmp_path / "manifest.json"
    entry = json.loads(path.read_text())
    entry["tensors"]["file"] = name
    path.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match="is not a checkpoint manifest"):
        checkpoint.load(tmp_path)
    checkpoint.save(tmp_path, {"a": torch.zeros(1)}, META)  # and does not prevent a new checkpoint
    assert checkpoint.load(tmp_path)[0]["a"].item() == 0


def test_an_oversized_manifest_is_not_read(tmp_path):
    checkpoint.save(tmp_path, TENSORS, META)
    os.truncate(tmp_path / "manifest.json", checkpoint.MAX_MANIFEST_BYTES + 1)  # sparse
    with pytest.raises(ValueError, match="16777217 bytes, expected at most 16777216"):
        checkpoint.load(tmp_path)


def test_a_manifest_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="is not a checkpoint manifest .RecursionError"):
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
    junk = b"not safetensors at all"
    with pytest.raises(ValueError, match="not safetensors data"):
        checkpoint.decode(junk, hashlib.sha256(junk).hexdigest())


def test_encoding_is_deterministic():
    assert checkpoint.encode(TENSORS) == checkpoint.encode(dict(TENSORS))


# ---- Killed inside a write --------------------------------------------------------------------


def generation(version):
    generator = torch.Generator().manual_seed(version)
    return {"a": torch.randn(100_000, generator=generator), "version": torch.tensor(version)}


def is_exactly(tensors, version):
    expected = generation(version)
    return all(torch.equal(tensors[name], expected[name]) for name in expected)


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_byte_of_a_write_the_generation_before_loads_bit_exactly(tmp_path, seed):
    """The kernel ends the process at this byte: file size limit with the default signal action."""
    for version in (1, 2):
        checkpoint.save(tmp_path, generation(version), {"version": version})
    size = newest_tensors(tmp_path).stat().st_size
    offset = random.Random(seed).randrange(size)

    def save_until_the_limit():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (offset, size))
        checkpoint.save(tmp_path, generation(3), {"version": 3})

    child = os.fork()
    if not child:
        try:
            save_until_the_limit()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
    tensors, meta, fault = checkpoint.recover(tmp_path)
    assert meta["version"] == 2 and is_exactly(tensors, 2) and fault == ""
    checkpoint.save(tmp_path, generation(4), {"version": 4})
    assert is_exactly(checkpoint.load(tmp_path)[0], 4)
    assert len(list(tmp_path.iterdir())) == 4, "what the kill left was not cleaned up"


def test_killed_at_any_moment_the_newest_whole_generation_loads_bit_exactly(tmp_path):
    """SIGKILL at random moments of a process that only saves."""
    rng = random.Random()
    checkpoint.save(tmp_path, generation(0), {"version": 0})
    for _ in range(10):
        begun = checkpoint.load(tmp_path)[1]["version"]
        told, tell = os.pipe()

        child = os.fork()
        if not child:
            for version in range(begun + 1, begun + 1000):
                checkpoint.save(tmp_path, generation(version), {"version": version})
                os.write(tell, b".")
        os.read(told, 1)
        time.sleep(rng.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(tell)
        saved = begun + 1 + len(os.read(told, 10_000))
        os.close(told)
        tensors, meta, fault = checkpoint.recover(tmp_path)
        assert meta["version"] in (saved, saved + 1) and fault == ""
        assert is_exactly(tensors, meta["version"])
