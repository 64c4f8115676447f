"""The thread that writes checkpoints: the newest counts, and a full disk is logged once."""

from __future__ import annotations

import threading

import pytest
import torch

from rlt_core.log import checkpoint
from rlt_learner.learner.checkpoint_writer import CheckpointWriter


@pytest.fixture
def gate(monkeypatch):
    """Holds every write back until it is set."""
    opened, begun, save = threading.Event(), threading.Semaphore(0), checkpoint.save

    def slow(*arguments):
        begun.release()
        assert opened.wait(60.0)
        save(*arguments)

    monkeypatch.setattr(checkpoint, "save", slow)
    opened.begun = begun
    return opened


def offer(writer, version):
    return writer.offer({"a": torch.full((2,), float(version))}, {"version": version})


def test_what_a_newer_snapshot_overtakes_is_not_written_and_nobody_waits(tmp_path, gate):
    writer = CheckpointWriter(tmp_path, print)
    first = offer(writer, 1)
    assert gate.begun.acquire(timeout=60.0)  # the first is being written
    second, third = offer(writer, 2), offer(writer, 3)
    assert not (first.done() or second.done() or third.done())
    gate.set()
    for future in (first, second, third):
        future.result(20.0)
    writer.close()
    assert checkpoint.load(tmp_path)[1] == {"version": 3}
    assert checkpoint.recover(tmp_path)[2] == ""
    assert gate.begun.acquire(blocking=False), "the third was not written"
    assert not gate.begun.acquire(blocking=False), "the second was written needlessly"


def test_closing_writes_what_waits(tmp_path):
    writer = CheckpointWriter(tmp_path, print)
    for version in (1, 2, 3):
        offer(writer, version)
    writer.close()
    assert checkpoint.load(tmp_path)[1] == {"version": 3}


def test_a_disk_that_fails_is_said_once_and_the_next_snapshot_tries_again(tmp_path, monkeypatch):
    said, works = [], checkpoint.save
    writer = CheckpointWriter(tmp_path, said.append)
    offer(writer, 1).result(20.0)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    for version in (2, 3):
        with pytest.raises(OSError, match="No space left"):
            offer(writer, version).result(20.0)
    assert len(said) == 1 and "the previous one is kept" in said[0] and writer.fault
    assert checkpoint.load(tmp_path)[1] == {"version": 1}
    monkeypatch.setattr(checkpoint, "save", works)
    offer(writer, 4).result(20.0)
    assert writer.fault == "" and checkpoint.load(tmp_path)[1] == {"version": 4}
    writer.close()


def test_whatever_goes_wrong_is_trouble_and_never_ends_the_thread(tmp_path, monkeypatch):
    said, works = [], checkpoint.save
    writer = CheckpointWriter(tmp_path, said.append)

    def broken(*arguments):
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(checkpoint, "save", broken)
    with pytest.raises(RuntimeError, match="no such tensor"):
        offer(writer, 1).result(20.0)
    assert "no such tensor" in writer.fault and len(said) == 1
    monkeypatch.setattr(checkpoint, "save", works)
    offer(writer, 2).result(20.0)
    writer.close()
    assert checkpoint.load(tmp_path)[1] == {"version": 2}
