"""The learner's checkpoint: what is not worth saving is refused, with the reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from rlt_core import checkpoint
from rlt_learner.checkpoints import Checkpoints

CONTRACT = SimpleNamespace(hash=lambda: "feed", require=lambda found, who: None)


class Learnt:
    """Stands for a trainer that has learnt something."""

    def __init__(self):
        self.trouble = ""
        self.value = 0.0

    def status(self):
        return SimpleNamespace(policy_version=3, trouble=self.trouble)

    def state_dict(self):
        return {"a": torch.full((4,), self.value)}, {"version": 3, "folded_seq": 7}

    def load_state_dict(self, tensors, counters):
        self.value = tensors["a"][0].item()


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
    assert checkpoints.save_and_wait("run", at_once) == ""
    trainer.trouble, trainer.value = "learning diverged at update 9", float("nan")
    checkpoints.save_if_new("run")
    reply = checkpoints.save_and_wait("run", at_once)
    assert "the last good checkpoint stands: learning diverged at update 9" in reply
    assert checkpoint.load(checkpoints.folder)[0]["a"][0] == 0.0


def test_a_save_before_the_first_episode_keeps_the_name_of_the_run(made):
    checkpoints, _ = made()
    assert "no episode has begun" in checkpoints.save_and_wait("", at_once)
    assert checkpoints.save_and_wait("run", at_once) == ""
    again, trainer = made()
    trainer.value = 1.0
    assert again.run == "run" and again.save_and_wait("", at_once) == ""
    assert checkpoint.load(again.folder)[1]["run"] == "run"


def test_a_checkpoint_without_its_tensors_is_no_new_beginning(made):
    checkpoints, _ = made()
    assert checkpoints.save_and_wait("run", at_once) == ""
    for file in checkpoints.folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match="which is missing"):
        made()
