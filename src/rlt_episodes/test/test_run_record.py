"""The files of a run, the line per episode, and when the next episode may open."""

from __future__ import annotations

import dataclasses
import json

import pytest

from rlt_core.episodes.episode_machine import EpisodeMachine
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import EpisodePlan, make_schedule
from rlt_core.records import INTERRUPTED, EpisodeKind, Outcome
from rlt_core.settings import ScheduleSettings
from rlt_episodes import run_record as record_module
from rlt_episodes.progress import progress_line, summary_lines
from rlt_episodes.readiness import LAST_COUNTS, waiting_for_learning
from rlt_episodes.run_plan import EpisodesSettings
from rlt_episodes.run_record import RunRecord, earlier_episodes, last_facts
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus

SCHEDULE = ScheduleSettings(base_eval_episodes=2, episodes=5, eval_episodes=2)


def result(episode: int, kind: EpisodeKind, success: bool, steps: int) -> EpisodeResult:
    outcome = Outcome.SUCCESS if success else Outcome.FAILURE
    return EpisodeResult(episode, kind, 1, outcome, steps, "auto", 0, steps, 0)


def open_record(folder, facts, resume=False, said=None):
    return RunRecord(folder, facts, [].append if said is None else said.append, resume)


def test_record_is_replaced_as_a_whole(tmp_path):
    record = open_record(tmp_path / "run", {"run": "run"})
    record.update({"wall_seconds": 2.0})
    record.write_episodes([{"episode": 1}, {"episode": 2}])
    assert json.loads((tmp_path / "run/run.json").read_text()) == {
        "run": "run", "wall_seconds": 2.0,
    }
    lines = (tmp_path / "run/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["episode"] for line in lines] == [1, 2]
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_that_holds_a_run_is_refused_and_kept(tmp_path):
    open_record(tmp_path, {"run": "first"})
    with pytest.raises(FileExistsError, match="already contains a run"):
        open_record(tmp_path, {"run": "second"})
    assert json.loads((tmp_path / "run.json").read_text())["run"] == "first"


def test_a_run_without_an_episode_leaves_nothing(tmp_path):
    open_record(tmp_path / "run", {"run": "run"}).withdraw()
    assert not (tmp_path / "run").exists()


def test_withdrawing_keeps_what_others_wrote(tmp_path):
    record = open_record(tmp_path / "run", {"run": "run"})
    (tmp_path / "run/notes.txt").write_text("mine")
    record.withdraw()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_withdrawing_never_takes_the_episodes_of_an_earlier_process(tmp_path):
    facts = {"run": "run", "task": "ethernet", "seed": 0, "contract_hash": "feed"}
    open_record(tmp_path, facts).write_episodes([{"episode": 1}])
    record = open_record(tmp_path, facts, resume=True)
    assert record.begun == 0  # killed before it was noted
    record.withdraw()
    assert (tmp_path / "episodes.jsonl").read_text() and (tmp_path / "run.json").is_file()


@pytest.mark.parametrize(
    ("received", "missing", "lost", "pending"),
    [(10, 0, 0, 0), (9, 1, 0, 1), (4, 0, 0, 6), (10, 2, 2, 0), (0, 0, 0, 10)],
)
def test_a_backlog_is_not_lost_but_what_the_log_does_not_hold_is(received, missing, lost, pending):
    facts = last_facts(
        1.0, 2.0, RecorderStatus(committed=10, published=10, human=3),
        LearnerStatus(received=received, missing=missing, duplicates=1, updates=5),
    )
    assert facts["transitions"] == {
        "committed": 10, "published": 10, "received": received, "lost": lost, "pending": pending,
        "duplicated": 1, "human": 3,
    }


def test_without_recorder_and_learner_nothing_is_lost():
    assert set(last_facts(1.0, 2.0, None, None)["transitions"].values()) == {0}


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


@pytest.mark.parametrize(
    ("outcome", "judge"),
    [(Outcome.NONE, "discard"), (Outcome.TRUNCATED, "abort"), (Outcome.TRUNCATED, "fault"),
     (Outcome.TRUNCATED, "held"), (Outcome.TRUNCATED, "interrupted")],
)
def test_an_episode_that_counts_nowhere_is_no_failure_on_the_progress_line(outcome, judge):
    cut = dataclasses.replace(
        result(1, EpisodeKind.WARMUP, False, 7), outcome=outcome, label_source=judge
    )
    schedule = make_schedule(dataclasses.replace(SCHEDULE, base_eval_episodes=0), 1)
    alone = progress_line(schedule, [cut], 8.0, 40.0)
    assert alone.startswith(f"train   1/5 | 1 not counted, this one: {judge.replace('_', ' ')} | ")
    good = result(2, EpisodeKind.TRAIN, True, 70)
    line = progress_line(schedule, [cut, good], 8.0, 40.0)
    assert "success 100 % (last 1) | median 70 steps | 1 not counted | " in line


def test_progress_line_ends_with_what_is_wrong_with_the_learner():
    results = [result(1, EpisodeKind.BASE_EVAL, True, 80)]
    line = progress_line(
        make_schedule(SCHEDULE, 1), results, 8.0, 40.0, 9, 4,
        "learner silent for 7 s, acting on weights v4",
    )
    assert line.endswith(" | eta 1:04 | learner silent for 7 s, acting on weights v4")


def test_progress_line_counts_takeovers_where_there_were_any():
    results = [
        dataclasses.replace(result(1, EpisodeKind.WARMUP, True, 90), interventions=2),
        dataclasses.replace(result(2, EpisodeKind.TRAIN, True, 70), interventions=1),
    ]
    schedule = make_schedule(dataclasses.replace(SCHEDULE, base_eval_episodes=0), 1)
    assert "| takeovers 3 |" in progress_line(schedule, results, 8.0, 40.0)


def test_summary():
    results = [
        result(1, EpisodeKind.BASE_EVAL, True, 80), result(2, EpisodeKind.BASE_EVAL, False, 300),
        result(3, EpisodeKind.TRAIN, True, 10),
    ]
    (line,) = summary_lines(results)
    assert line == (
        "base eval: 1/2 = 50 % (95 % interval 9 to 91 %), median of successes 80 steps"
    )


# ---- Resume -----------------------------------------------------------------------------------

FACTS = {"run": "run", "task": "ethernet", "seed": 1, "contract_hash": "beef"}


def test_a_killed_run_is_taken_up_and_its_last_episode_is_truncated(tmp_path):
    schedule = make_schedule(SCHEDULE, 1)
    done = [
        dataclasses.replace(
            result(plan.episode, plan.kind, True, 80), seed=plan.seed, interventions=plan.episode
        )
        for plan in schedule[:3]
    ]
    record = open_record(tmp_path, FACTS | {"versions": {}})
    record.write_episodes(each.to_dict() | {"wall_seconds": 2.5} for each in done)
    record.update({"begun": 4})

    again = open_record(tmp_path, FACTS, resume=True)
    assert again.begun == 4
    results, extra = earlier_episodes(again, schedule)
    assert results[:3] == done and extra[3] == {"wall_seconds": 2.5}
    assert (results[3].episode, results[3].seed) == (4, schedule[3].seed)
    assert (results[3].outcome, results[3].steps) == (Outcome.TRUNCATED, 0)
    assert results[3].label_source == INTERRUPTED
    machine = EpisodeMachine("run", SCHEDULE, 1, 10)
    machine.restore(results)
    assert machine.results == results and machine.upcoming == schedule[4]
    again.update({"more": 1})
    assert json.loads((tmp_path / "run.json").read_text())["versions"] == {}


def test_an_episode_that_had_not_begun_is_not_truncated(tmp_path):
    schedule = make_schedule(SCHEDULE, 1)
    record = open_record(tmp_path, FACTS)
    record.update({"begun": 1})
    record.write_episodes([result(1, EpisodeKind.BASE_EVAL, True, 80).to_dict()])
    results, _ = earlier_episodes(open_record(tmp_path, FACTS, resume=True), schedule)
    assert [each.episode for each in results] == [1]


def test_a_run_is_known_by_what_its_folder_records_not_by_its_name(tmp_path):
    open_record(tmp_path / "first", FACTS | {"run": "first"})
    renamed = (tmp_path / "first").rename(tmp_path / "renamed")
    resumed = EpisodesSettings(output=str(renamed), resume=True)
    assert resumed.identify() == "first"
    assert dataclasses.replace(resumed, run="other").identify() == "other"
    assert dataclasses.replace(resumed, resume=False).identify() == "renamed"
    open_record(renamed, FACTS | {"run": "first"}, resume=True)
    with pytest.raises(FileNotFoundError, match="contains no run to resume"):
        dataclasses.replace(resumed, output=str(tmp_path / "none")).identify()


@pytest.mark.parametrize(("name", "value"), [("seed", 2), ("task", "peg"), ("contract_hash", "f")])
def test_a_run_is_not_resumed_with_other_arguments(tmp_path, name, value):
    open_record(tmp_path, FACTS)
    with pytest.raises(ValueError, match=f"has {name} .* expected {value!r}: resume with the arg"):
        open_record(tmp_path, FACTS | {name: value}, resume=True)


def with_settings(schedule=SCHEDULE, **episodes):
    tables = {"episodes": EpisodesSettings(**episodes), "schedule": schedule}
    return FACTS | {"settings": {name: dataclasses.asdict(t) for name, t in tables.items()}}


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("episodes", "warmup_episodes", 41), ("episodes", "job", "evaluate_base"),
        ("schedule", "base_eval_episodes", 3), ("schedule", "time_limit_ticks", 90),
        ("schedule", "time_limit", "truncation"), ("schedule", "full_task", True),
        ("schedule", "approach_limit_ticks", 90),
    ],
)
def test_a_run_is_not_resumed_with_settings_that_its_past_depends_on(tmp_path, table, name, value):
    open_record(tmp_path, with_settings())
    other = with_settings()
    other["settings"][table][name] = value
    with pytest.raises(ValueError, match=f"has {name} .* expected {value!r}: .* only episodes and"):
        open_record(tmp_path, other, resume=True)
    old = json.loads((tmp_path / "run.json").read_text())
    del old["settings"][table][name]  # a version that did not know it
    (tmp_path / "run.json").write_text(json.dumps(old))
    open_record(tmp_path, other, resume=True)


def test_how_many_episodes_are_still_to_come_may_change_and_is_said(tmp_path):
    open_record(tmp_path, with_settings())
    longer = dataclasses.replace(SCHEDULE, episodes=9, label_needs_id_ticks=7)
    said = []
    record = open_record(tmp_path, with_settings(longer, second_look_s=2.0), True, said)
    assert said == ["the resumed run has episodes 9; it began with 5"]
    record.update({"begun": 1})
    kept = json.loads((tmp_path / "run.json").read_text())["settings"]["schedule"]
    assert kept == dataclasses.asdict(dataclasses.replace(SCHEDULE, episodes=9))
    said.clear()
    open_record(tmp_path, with_settings(longer), True, said)
    assert not said


def earlier(tmp_path, count, begun):
    """A run of SCHEDULE of which so many episodes have ended."""
    record = open_record(tmp_path, with_settings())
    plans = make_schedule(SCHEDULE, 1)[:count]
    record.write_episodes(
        dataclasses.replace(result(p.episode, p.kind, True, 80), seed=p.seed).to_dict()
        for p in plans
    )
    record.update({"begun": begun})
    return open_record(tmp_path, with_settings(), resume=True)


def test_a_run_with_more_episodes_goes_on_training(tmp_path):
    record = earlier(tmp_path, 6, 6)  # the next one would be the last of training
    longer = dataclasses.replace(SCHEDULE, episodes=9)
    machine = EpisodeMachine("run", longer, 1, 10)
    machine.restore(earlier_episodes(record, machine.schedule)[0])
    kinds = [plan.kind for plan in machine.schedule[6:]]
    assert kinds == [EpisodeKind.TRAIN] * 5 + [EpisodeKind.EVAL] * 2


def test_a_schedule_that_does_not_hold_what_has_been_is_refused(tmp_path):
    evaluated = earlier(tmp_path, 8, 8)
    longer = EpisodeMachine("run", dataclasses.replace(SCHEDULE, episodes=9), 1, 10)
    with pytest.raises(ValueError, match="8 was of kind eval, .* this schedule has kind train"):
        longer.restore(earlier_episodes(evaluated, longer.schedule)[0])
    shorter = make_schedule(dataclasses.replace(SCHEDULE, eval_episodes=0), 1)
    with pytest.raises(ValueError, match="8 episodes of the run have begun, this schedule has 7"):
        earlier_episodes(evaluated, shorter)


def test_what_cannot_be_resumed_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no run to resume"):
        open_record(tmp_path, FACTS, resume=True)
    open_record(tmp_path, FACTS)
    (tmp_path / "run.json").write_text('{"run": "ru')
    with pytest.raises(ValueError, match="cannot be resumed: run.json or episodes.jsonl"):
        open_record(tmp_path, FACTS, resume=True)


def test_a_full_disk_is_no_end_of_the_run_and_loses_nothing_of_its_record(tmp_path, monkeypatch):
    said = []
    record = open_record(tmp_path, FACTS, said=said)
    record.write_episodes([{"episode": 1}])

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(record_module, "replace_file", full)
        record.update({"begun": 2})
        record.write_episodes([{"episode": 1}, {"episode": 2}])
        record.flush()
        assert "room on the disk" in record.fault and "No space left" in record.fault
    assert len(said) == 1
    assert said[0].startswith("no episode begins before there is room on the disk for")
    assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 1
    record.flush()
    assert record.fault == "" and said[1:] == [f"the record in {tmp_path} is written again"]
    assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "run.json").read_text())["begun"] == 2
    record.flush()
    assert len(said) == 2


ACTOR_NEXT = EpisodePlan(4, EpisodeKind.TRAIN, 1)
DONE = {
    "state": dataclasses.replace(EpisodeMachine("run", SCHEDULE, 1, 10).state, episode=3),
    "upcoming": ACTOR_NEXT,
    "policy": PolicyInfo(policy_version=2),
    "recorder": RecorderStatus(run="run", episode=3, episode_seq=70),
    "learner": LearnerStatus(run="run", ingested_seq=70, policy_version=2, learning=True),
    "lasting": "",
}
"""Every node is done with episode 3."""


def test_the_next_episode_waits_for_everybody():
    assert waiting_for_learning(**DONE, lockstep=True) == ""
    for change, expected in (
        ({"recorder": None}, "recorder to start"),
        ({"recorder": RecorderStatus(run="old")}, "recorder to start"),
        ({"recorder": RecorderStatus(run="run", episode=2)}, "recorder to close"),
        ({"recorder": RecorderStatus(run="run", episode=3, fault="no room")}, "no room"),
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
    assert "ingest the last" in waiting_for_learning(**DONE | last, lockstep=False)
    for lasting, reason in (("another reason", LAST_COUNTS), (LAST_COUNTS, "")):  # not forever
        found = waiting_for_learning(**DONE | last | {"lasting": lasting}, lockstep=False)
        assert found == reason
    paused = {"upcoming": None, "learner": LearnerStatus(run="run", ingested_seq=3, received=70)}
    assert waiting_for_learning(**DONE | paused, lockstep=False) == ""


@pytest.mark.parametrize("lockstep", [True, False])
@pytest.mark.parametrize(
    "status", [RecorderStatus(run="run", episode=3, fault="full"), RecorderStatus(run="run")]
)
def test_a_run_never_ends_before_the_recorder_has_everything(lockstep, status):
    change = {"upcoming": None, "recorder": status}
    reason = waiting_for_learning(**DONE | change, lockstep=lockstep)
    assert "the recorder" in reason and ("Ctrl-C" in reason) == bool(status.fault)
    assert waiting_for_learning(**DONE | change | {"lasting": reason}, lockstep=lockstep) == reason


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
