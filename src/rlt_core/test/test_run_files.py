"""A run starts only in a usable folder and resumes only an existing run; checks leave no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlt_core.log.run_files import read_facts, require_beginning, require_checkpoint, require_folder


def test_a_folder_that_can_be_made_is_not_made(tmp_path):
    require_folder(tmp_path)
    require_folder(tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/run", "dangling"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, folder):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="cannot be created or written .* choose another"):
        require_folder(tmp_path / folder)


def test_a_run_begins_in_an_empty_folder_and_goes_on_in_its_own(tmp_path):
    run = tmp_path / "run"
    require_beginning(run, resume=False)
    with pytest.raises(FileNotFoundError, match="contains no run to resume"):
        require_beginning(run, resume=True)
    run.mkdir()
    (run / "run.json").write_text('{"run": "first"}')
    require_beginning(run, resume=True)
    with pytest.raises(FileExistsError, match="already contains a run"):
        require_beginning(run, resume=False)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": '])
def test_a_damaged_run_is_not_resumed(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match="cannot be resumed: run.json .* is damaged"):
        read_facts(tmp_path)


def test_a_checkpoint_may_be_of_either_generation(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint in {tmp_path}: a is missing"):
        require_checkpoint(tmp_path, "a", "b")
    Path(tmp_path / "b").write_text("")
    require_checkpoint(tmp_path, "a", "b")
