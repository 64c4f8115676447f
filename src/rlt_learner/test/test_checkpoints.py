"""The learner's checkpoint: what is not worth saving is refused, with the reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from rlt_core.log import checkpoint
from rlt_learner.learner.checkpoints import Checkpoints

CONTRACT = SimpleNamespace(hash=lambda: "link", require=lambda found, who: None)


class Learnt:
    """Stands for a trainer that has learnt something."""

    def __init__(self):
        self.fault = ""
        self.value = 0.0
        self.restored = {"run": 7}

    def status(self):
        return SimpleNamespace(policy_version=3, fault=self.fault)

    def state_dict(self):
        counters = {"version": 3, "runs": self.restored}
        return {"a": torch.full((4,), self.value)}, counters

    def load_state_dict(self, tensors, counters):
        self.value = tensors["a"][0].item()
        self.restored = counters["runs"]


@pytest.fixture
def made(tmp_path):
    opened = []

    def make():
        trainer = Learnt()
        opened.append(Checkpoints(tmp_path / "checkpoint", trainer, CONTRACT, print))
        return opened[-1], trainer

    yield make
    for checkpoints in opened:
        checkpoints.close()


def at_once(job):
    job()


def test_a_diverged_state_is_refused_with_the_reason_and_the_good_one_stands(made):
    checkpoints, trainer = made()
    assert checkpoints.save_and_wait(at_once) == ""
    trainer.fault, trainer.value = "learning diverged at update 9", float("nan")
    checkpoints.save_if_new()
    reply = checkpoints.save_and_wait(at_once)
    assert "the last good checkpoint is kept: learning diverged at update 9" in reply
    assert checkpoint.load(checkpoints.folder)[0]["a"][0] == 0.0


def test_a_save_before_the_first_commit_is_refused_and_what_was_read_is_said(made):
    checkpoints, trainer = made()
    trainer.restored = {}
    assert "no commit was received" in checkpoints.save_and_wait(at_once)
    trainer.restored = {"left": 7, "right": 12}
    assert checkpoints.message == checkpoints.save_and_wait(at_once) == ""
    again, _ = made()
    assert again.message == (
        "learning continues from version 3 of the weights, learnt from commits up to 7 of run "
        "'left', commits up to 12 of run 'right'"
    )


def test_a_checkpoint_without_its_tensors_is_no_new_beginning(made):
    checkpoints, _ = made()
    assert checkpoints.save_and_wait(at_once) == ""
    for file in checkpoints.folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match="which is missing"):
        made()
