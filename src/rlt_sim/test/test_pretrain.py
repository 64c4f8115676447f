"""Pretraining end to end on a minute budget, its data, and how it refuses bad input."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlt_core.records import Observation
from rlt_core.vla.model import load_model
from rlt_sim.pretrain import pretrain as command
from rlt_sim.pretrain.dataset import Demonstrations, demonstrate, scatter
from rlt_sim.pretrain.pretrain import pretrain
from rlt_sim.pretrain.training import Budget
from rlt_sim.world import World, make_world
from rlt_sim.world.ethernet import SUCCESS_DEPTH

MINUTE = Budget(
    demonstrations=6, held_out_share=0.34, scattered=40, base_steps=4, batch=4, scattered_batch=4,
    token_steps=4, token_batch=8, evaluation_episodes=1,
)


@pytest.fixture(scope="module")
def world() -> World:
    """A wide socket, where the demonstrator jams rarely and demonstrations come fast."""
    return make_world("ethernet", clearance_m=0.0015)


@pytest.fixture(scope="module")
def demos(world: World) -> Demonstrations:
    return demonstrate(world, count=4, max_ticks=400, horizon=50, stride=2, seed=0)


@pytest.fixture
def given_demos(monkeypatch: pytest.MonkeyPatch, demos: Demonstrations) -> None:
    """Let pretraining start from existing demonstrations."""
    monkeypatch.setattr(command, "demonstrate", lambda *_: demos)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, demos: Demonstrations
) -> tuple[Path, dict[str, Any]]:
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("models") / "ethernet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "demonstrate", lambda *_: demos)
        return output, pretrain("ethernet", output, 0, True, None, MINUTE)


def test_chunks_are_the_executed_increments_and_end_in_rest(demos: Demonstrations) -> None:
    frames = demos.frames
    assert frames.chunks.shape == (len(frames), 50, 4)
    same = frames.episodes[1:] == frames.episodes[:-1]
    np.testing.assert_array_equal(frames.chunks[1:][same][:, :48], frames.chunks[:-1][same][:, 2:])
    last = np.flatnonzero(~same)
    assert not frames.chunks[last][:, 2:].any() and frames.chunks[last][:, 0].any()


def test_episodes_are_held_out_whole(demos: Demonstrations) -> None:
    train, test = demos.split(0.25)
    assert set(train.episodes) == {0, 1, 2} and set(test.episodes) == {3}
    assert len(train) + len(test) == len(demos.frames)


def test_only_successes_are_kept(demos: Demonstrations) -> None:
    """A kept demonstration ends with the plug's tip within a tick of the depth that succeeds."""
    frames = demos.frames
    assert demos.attempts >= 4
    for episode in range(4):
        depth = -frames.offsets[frames.episodes == episode][-1, 2]
        assert depth > SUCCESS_DEPTH - 0.003


def test_data_are_a_function_of_the_seed(world: World, demos: Demonstrations) -> None:
    again = demonstrate(world, count=1, max_ticks=400, horizon=50, stride=2, seed=0).frames
    np.testing.assert_array_equal(again.images, demos.frames[: len(again)].images)
    np.testing.assert_array_equal(again.chunks, demos.frames[: len(again)].chunks)
    first, second, other = scatter(world, 3, 0), scatter(world, 3, 0), scatter(world, 3, 1)
    np.testing.assert_array_equal(first.images, second.images)
    assert np.abs(first.offsets - other.offsets).max() > 1e-4


def test_a_model_folder_is_complete_and_loads(made: tuple[Path, dict[str, Any]]) -> None:
    output, record = made
    assert {path.name for path in output.iterdir()} == {
        "vla.safetensors", "rl_token.safetensors", "contract.json", "pretrain.json"
    }
    vla, encoder, contract = load_model(output)
    assert contract.token_size == encoder.size == 128 and vla.horizon == contract.horizon == 50
    assert record["contract_hash"] == contract.hash()
    assert (contract.normaliser.action_scale > 1e-5).all()
    assert json.loads((output / "pretrain.json").read_text()) == record
    assert sum(path.stat().st_size for path in output.iterdir()) < 12e6


def test_the_record_says_how_the_model_was_made(made: tuple[Path, dict[str, Any]]) -> None:
    _, record = made
    assert record["privileged_pretraining"] is True and record["seed"] == 0
    assert "pretrain --task ethernet --seed 0" in record["command"]
    assert {"raw", "pooled", "pca64", "token_autoregressive", "token_parallel", "pose_head"} == set(
        record["probe"]
    )
    assert record["decoder"] in record["decoder_choice"]


def test_without_privilege_no_label_touches_a_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demos: Demonstrations, given_demos: None
) -> None:
    """Falsified labels leave the honest model bit-identical."""
    first = pretrain("ethernet", tmp_path / "a", 0, False, "parallel", MINUTE)
    frames = dataclasses.replace(demos.frames, offsets=demos.frames.offsets[::-1] * 2.0)
    falsified = dataclasses.replace(demos, frames=frames)
    monkeypatch.setattr(command, "demonstrate", lambda *_: falsified)
    second = pretrain("ethernet", tmp_path / "b", 0, False, "parallel", MINUTE)
    assert first["privileged_pretraining"] is False
    assert first["contract_hash"] == second["contract_hash"]
    assert first["probe"] != second["probe"]


def test_the_loaded_policy_acts_on_the_world(
    world: World, made: tuple[Path, dict[str, Any]]
) -> None:
    vla, encoder, contract = load_model(made[0])
    world.reset(0)
    robot = world.state()
    proprio = np.concatenate([robot.tcp, robot.wrench]).astype(np.float32)
    prefix = vla.embed([Observation(0, world.render(), proprio)])
    assert np.isfinite(encoder.encode(prefix)).all()
    actions = vla.sample(prefix, np.zeros((1, 50, 4)))
    assert np.isfinite(actions).all() and (np.abs(actions) < 0.1).all()


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("precious")
    with pytest.raises(OSError, match="cannot write the model folder.*--output"):
        pretrain("ethernet", tmp_path / "taken", 0, True, None, MINUTE)
    with pytest.raises(OSError, match="cannot write the model folder.*--output"):
        pretrain("ethernet", tmp_path / "taken" / "below", 0, True, None, MINUTE)
    assert (tmp_path / "taken").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_failure_leaves_the_old_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_demos: None
) -> None:
    output = tmp_path / "ethernet"
    output.mkdir()
    (output / "vla.safetensors").write_text("old")
    monkeypatch.setattr(command, "train_base", lambda *_: (_ for _ in ()).throw(RuntimeError("x")))
    with pytest.raises(RuntimeError, match="x"):
        pretrain("ethernet", output, 0, False, None, MINUTE)
    assert (output / "vla.safetensors").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["ethernet"]


def test_an_unknown_task_is_one_sentence_and_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pretrain", "--task", "juggling"])
    assert command.main() == 1
    said = capsys.readouterr().err
    assert "juggling" in said and "ethernet" in said and said.count("\n") == 1
