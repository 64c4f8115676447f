"""A run that is killed at any moment and resumed is the uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rlt_core.durable_log import LOG_FILE, DurableLog, StoredLog
from rlt_core.resume import ResumableRun

PROGRAM = textwrap.dedent(
    f"""
    import sys
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from conftest import make_runner
    from rlt_core.resume import ResumableRun
    for result in ResumableRun(make_runner(), Path(sys.argv[1])).run():
        print(result.episode, flush=True)
    """
)


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True
    )


def commits(folder):
    """Every column of every commit, by bytes."""
    with sqlite3.connect(folder / LOG_FILE) as database:
        return database.execute("SELECT * FROM commits ORDER BY seq").fetchall()


def checkpoint_of(folder):
    """SHA-256 of the tensors, and everything that stands beside them."""
    manifest = json.loads((folder / "checkpoint" / "manifest.json").read_text())
    return manifest["tensors"]["sha256"], manifest["meta"]


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = ResumableRun(toy.runner(), folder)
    results = list(run.run())
    run.close()
    return folder, results


def assert_same_run(folder, uninterrupted):
    expected, results = uninterrupted
    assert commits(folder) == commits(expected)
    assert checkpoint_of(folder) == checkpoint_of(expected)
    assert [item["episode"] for item in checkpoint_of(folder)[1]["episodes"]] == [
        result.episode for result in results
    ]


def test_killed_at_random_moments_and_resumed_it_is_the_uninterrupted_run(
    tmp_path, uninterrupted
):
    rng, kills = random.Random(), 0
    while kills < 3:
        process = start(tmp_path)
        process.stdout.readline()  # one episode more at least, so that the test ends
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break  # it was quicker
        kills += 1
    last = start(tmp_path)
    last.communicate()
    assert last.returncode == 0 and kills > 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_damaged_checkpoint_costs_one_episode_and_changes_nothing(tmp_path, toy, uninterrupted):
    run = ResumableRun(toy.runner(), tmp_path)
    episodes = run.run()
    for _ in range(5):
        next(episodes)
    run.close()
    manifest = tmp_path / "checkpoint" / "manifest.json"
    file = manifest.parent / json.loads(manifest.read_text())["tensors"]["file"]
    file.write_bytes(file.read_bytes()[:-1])
    run = ResumableRun(toy.runner(), tmp_path)
    assert "SHA-256" in run.problem
    assert [result.episode for result in run.run()] == [5, 6]
    run.close()
    assert_same_run(tmp_path, uninterrupted)


def test_without_a_checkpoint_it_begins_again_although_there_is_a_log(
    tmp_path, toy, uninterrupted
):
    log = DurableLog(tmp_path / LOG_FILE, "toy", toy.contract())
    log.commit_all(StoredLog(uninterrupted[0] / LOG_FILE).page(1, 20))
    log.close()
    run = ResumableRun(toy.runner(), tmp_path)
    list(run.run())
    run.close()
    assert_same_run(tmp_path, uninterrupted)


def test_a_log_that_has_lost_its_checkpoint_is_refused_and_not_cut(
    tmp_path, toy, uninterrupted
):
    run = ResumableRun(toy.runner(), tmp_path)
    episodes = run.run()
    for _ in range(3):
        next(episodes)
    run.close()
    shutil.move(tmp_path / "checkpoint", tmp_path / "elsewhere")
    kept = commits(tmp_path)
    with pytest.raises(ValueError, match="holds . closed episodes, but .* no checkpoint"):
        ResumableRun(toy.runner(), tmp_path)
    assert commits(tmp_path) == kept


def test_a_diverged_state_does_not_replace_the_good_checkpoint(tmp_path, toy, uninterrupted):
    run = ResumableRun(toy.runner(), tmp_path)
    episodes = run.run()
    for _ in range(4):
        next(episodes)
    good = checkpoint_of(tmp_path)
    run._trainer._trouble = "learning diverged"
    next(episodes)
    assert checkpoint_of(tmp_path) == good
    run.close()
    run = ResumableRun(toy.runner(), tmp_path)
    list(run.run())
    run.close()
    assert_same_run(tmp_path, uninterrupted)


def test_a_finished_run_has_nothing_left_to_do(toy, uninterrupted):
    run = ResumableRun(toy.runner(), uninterrupted[0])
    assert list(run.run()) == []
    run.close()
    assert_same_run(uninterrupted[0], uninterrupted)


def test_another_schedule_is_refused(tmp_path, toy):
    from rlt_core.settings import ScheduleSettings

    run = ResumableRun(toy.runner(), tmp_path)
    next(run.run())
    run.close()
    other = ScheduleSettings(
        base_eval_episodes=1, episodes=4, eval_episodes=1, time_limit_ticks=101, seed=5
    )
    with pytest.raises(ValueError, match="resume with the arguments of the first start"):
        ResumableRun(toy.runner(schedule=other), tmp_path)


def test_a_runner_without_a_trainer_is_refused(tmp_path, toy):
    with pytest.raises(ValueError, match="has no trainer"):
        ResumableRun(toy.runner(train=False), tmp_path)
