"""The files of a run, the line per episode, and when the next episode may open."""

from __future__ import annotations

import dataclasses
import json

import pytest

from rlt_core.episodes import EpisodeMachine, EpisodePlan, EpisodeResult, make_schedule
from rlt_core.records import EpisodeKind, Outcome
from rlt_core.settings import ScheduleSettings
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus
from rlt_teleop.progress import progress_line, summary_lines
from rlt_teleop.readiness import waiting_for_learning
from rlt_teleop.record import RunRecord, last_facts

SCHEDULE = ScheduleSettings(base_eval_episodes=2, episodes=5, eval_episodes=2)


def result(episode: int, kind: EpisodeKind, success: bool, steps: int) -> EpisodeResult:
    outcome = Outcome.SUCCESS if success else Outcome.FAILURE
    return EpisodeResult(episode, kind, 1, outcome, steps, "auto", 0)


def test_record_is_replaced_as_a_whole(tmp_path):
    record = RunRecord(tmp_path / "run", {"run": "run"})
    record.update({"wall_seconds": 2.0})
    record.write_episodes([{"episode": 1}, {"episode": 2}])
    assert json.loads((tmp_path / "run/run.json").read_text()) == {
        "run": "run", "wall_seconds": 2.0,
    }
    lines = (tmp_path / "run/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["episode"] for line in lines] == [1, 2]
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_that_holds_a_run_is_refused_and_kept(tmp_path):
    RunRecord(tmp_path, {"run": "first"})
    with pytest.raises(FileExistsError, match="holds a run already"):
        RunRecord(tmp_path, {"run": "second"})
    assert json.loads((tmp_path / "run.json").read_text())["run"] == "first"


def test_a_run_without_an_episode_leaves_nothing(tmp_path):
    RunRecord(tmp_path / "run", {"run": "run"}).withdraw()
    assert not (tmp_path / "run").exists()


def test_withdrawing_keeps_what_others_wrote(tmp_path):
    record = RunRecord(tmp_path / "run", {"run": "run"})
    (tmp_path / "run/notes.txt").write_text("mine")
    record.withdraw()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_lost_and_duplicated():
    facts = last_facts(
        1.0, 2.0, RecorderStatus(committed=10, published=11),
        LearnerStatus(received=9, duplicates=1, updates=5),
    )
    assert facts["transitions"] == {
        "committed": 10, "published": 11, "received": 9, "lost": 1, "duplicated": 1,
    }
    assert last_facts(1.0, 2.0, None, None)["transitions"]["lost"] == 0


def test_progress_line():
    results = [
        result(1, EpisodeKind.BASE_EVAL, True, 80), result(2, EpisodeKind.BASE_EVAL, False, 300),
        result(3, EpisodeKind.WARMUP, True, 90), result(4, EpisodeKind.TRAIN, True, 70),
    ]
    line = progress_line(make_schedule(SCHEDULE, 1), results, 8.0, 40.0, 123, 4)
    assert line == (
        "train   2/5 | success 100 % (last 2) | median 80 steps | updates 123 | policy v4 | "
        "5.0x real time | eta 0:10"
    )


def test_summary():
    results = [
        result(1, EpisodeKind.BASE_EVAL, True, 80), result(2, EpisodeKind.BASE_EVAL, False, 300),
        result(3, EpisodeKind.TRAIN, True, 10),
    ]
    (line,) = summary_lines(results)
    assert line == (
        "base eval: 1/2 = 50 % (95 % interval 9 to 91 %), median of successes 80 steps"
    )


ACTOR_NEXT = EpisodePlan(4, EpisodeKind.TRAIN, 1)
DONE = {
    "state": dataclasses.replace(EpisodeMachine("run", SCHEDULE, 1, 10).state, episode=3),
    "upcoming": ACTOR_NEXT,
    "policy": PolicyInfo(policy_version=2),
    "recorder": RecorderStatus(run="run", episode=3, episode_seq=70),
    "learner": LearnerStatus(run="run", ingested_seq=70, policy_version=2, learning=True),
}
"""Everybody has done with episode 3."""


def test_the_next_episode_waits_for_everybody():
    assert waiting_for_learning(**DONE, lockstep=True) == ""
    for change, expected in (
        ({"recorder": None}, "recorder to start"),
        ({"recorder": RecorderStatus(run="old")}, "recorder to start"),
        ({"recorder": RecorderStatus(run="run", episode=2)}, "recorder to close"),
        ({"learner": None}, "learner to start"),
        ({"learner": LearnerStatus(run="run", ingested_seq=69, learning=True)}, "updates"),
        (
            {"learner": LearnerStatus(
                run="run", ingested_seq=70, updates_owed=3.0, learning=True
            )},
            "updates",
        ),
        ({"policy": PolicyInfo(policy_version=1)}, "new weights"),
    ):
        assert expected in waiting_for_learning(**DONE | change, lockstep=True), change


@pytest.mark.parametrize("status", [{"ingested_seq": 69}, {"ingested_seq": 70, "updates_owed": 3}])
def test_a_paused_learner_keeps_a_lockstep_run_waiting_and_the_remedy_is_named(status):
    paused = LearnerStatus(run="run", policy_version=2, learning=False)
    for name, value in status.items():
        setattr(paused, name, type(getattr(paused, name))(value))
    reason = waiting_for_learning(**DONE | {"learner": paused}, lockstep=True)
    assert "pause_learning, {pause: false}" in reason


@pytest.mark.parametrize(
    "change",
    [
        {"learner": None},
        {"learner": LearnerStatus(run="run", ingested_seq=3, learning=False)},
        {"learner": LearnerStatus(run="run", ingested_seq=70, updates_owed=9.0, learning=True)},
        {"policy": PolicyInfo(policy_version=1)},
    ],
)
def test_in_real_time_no_episode_waits_for_the_learner(change):
    assert waiting_for_learning(**DONE | change, lockstep=False) == ""


def test_in_real_time_the_recorder_and_the_last_counts_are_waited_for():
    open_still = {"recorder": RecorderStatus(run="run", episode=2)}
    assert "recorder to close" in waiting_for_learning(**DONE | open_still, lockstep=False)
    last = {"upcoming": None, "learner": LearnerStatus(run="run", ingested_seq=69)}
    assert "take in the last" in waiting_for_learning(**DONE | last, lockstep=False)
    paused = {"upcoming": None, "learner": LearnerStatus(run="run", ingested_seq=3, received=70)}
    assert waiting_for_learning(**DONE | paused, lockstep=False) == ""


@pytest.mark.parametrize("lockstep", [True, False])
def test_the_actor_does_not_act_before_its_first_weights(lockstep):
    untrained = {
        "policy": PolicyInfo(),
        "learner": LearnerStatus(run="run", ingested_seq=70, learning=True),
    }
    reason = waiting_for_learning(**DONE | untrained, lockstep=lockstep)
    assert "first weights" in reason
    base = untrained | {"upcoming": EpisodePlan(4, EpisodeKind.WARMUP, 1)}
    assert waiting_for_learning(**DONE | base, lockstep=lockstep) == ""
