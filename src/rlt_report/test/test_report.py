"""The report: what it computes, what it shows, and what it refuses."""

import base64
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.records import EpisodeKind, Outcome
from rlt_report.report import write_report
from rlt_report.run_folder import RunFolderError

POLICY_KEYS = {
    "episodes", "assisted", "success_rate", "success_rate_ci95", "median_steps",
    "median_steps_success", "median_critical_steps", "throughput_per_10min", "throughput_ci95",
}
PNG = bytes.fromhex("89504e470d0a1a0a")


def result(
    number, kind, seed, steps, outcome=None, interventions=0, human_ticks=0, approach=0
):
    """An episode that succeeded, or failed if it took all 300 steps."""
    if outcome is None:
        outcome = Outcome.SUCCESS if steps < 300 else Outcome.FAILURE
    source = {Outcome.TRUNCATED: "abort", Outcome.NONE: "discard"}.get(outcome, "auto")
    return EpisodeResult(
        number, kind, seed, outcome, steps, source, interventions, steps - approach, human_ticks
    )


def episodes(seed=0):
    """Base: 1 of 4 succeeds. RLT: 3 of the same 4 succeed, faster. Two training episodes."""
    start = 1000 * seed
    base, trained = (300, 200, 300, 300), (100, 90, 300, 110)
    return [
        *(result(1 + i, EpisodeKind.BASE_EVAL, start + i, n) for i, n in enumerate(base)),
        result(5, EpisodeKind.WARMUP, start + 500, 300),
        result(6, EpisodeKind.TRAIN, start + 501, 150, interventions=2, human_ticks=31),
        *(result(7 + i, EpisodeKind.EVAL, start + i, n) for i, n in enumerate(trained)),
    ]


def write_run(folder, results=None, seed=0, **meta):
    """A run's output folder as the nodes leave it."""
    (folder / "frames").mkdir(parents=True)
    for name in ("base_eval_wrist_0", "base_eval_wrist_1", "eval_wrist_0", "eval_wrist_10"):
        (folder / "frames" / f"{name}.png").write_bytes(PNG + name.encode())
    lines = [json.dumps(item.to_dict()) for item in results or episodes(seed)]
    (folder / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    content = {
        "run": folder.name,
        "task": "ethernet",
        "seed": seed,
        "settings": {"rate_hz": 50.0, "schedule": {"time_limit_ticks": 300, "seed": seed}},
        "versions": {"rlt": "0.1.0"},
        "contract_hash": "c0ffee",
        "privileged_pretraining": True,
        "wall_seconds": 60.0,
        "robot_seconds": 38.0,
        "transitions": {
            "committed": 40, "published": 40, "received": 39, "lost": 1, "duplicated": 0,
            "human": 9,
        },
        "learner": {"updates": 1234, "updates_per_second": 50.0},
        **meta,
    }
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def test_report_json_holds_the_contracts_keys_and_figures(tmp_path):
    run = write_run(tmp_path / "run")
    returned = write_report(run, [run])
    report = json.loads((run / "report.json").read_text())
    assert report == json.loads(json.dumps(returned))
    assert set(report) == {
        "base", "rlt", "difference", "robot_seconds", "wall_seconds", "interventions",
        "transitions", "learner", "seed", "task", "privileged_pretraining", "versions",
        "contract_hash", "curve", "full_task", "log", "disagreements", "finished",
    }
    assert set(report["base"]) == set(report["rlt"]) == POLICY_KEYS
    assert report["base"]["success_rate"] == 0.25
    assert report["base"]["median_steps"] == 300
    assert report["base"]["median_steps_success"] == 200
    assert report["base"]["throughput_per_10min"] == pytest.approx(600 / (1100 * 0.02))
    assert report["rlt"]["median_steps_success"] == 100
    assert report["rlt"]["median_steps"] == 105
    assert report["difference"]["success_rate"] == 0.5
    low, high = report["difference"]["ci95"]
    assert low < 0.5 < high
    assert report["robot_seconds"] == pytest.approx((1100 + 450 + 600) * 0.02)
    assert report["interventions"] == {"takeovers": 2, "ticks": 31, "episodes": 1}
    assert report["transitions"]["lost"] == 1 and report["transitions"]["human"] == 9
    assert report["full_task"] is False
    assert report["curve"] == [[1, 0.0, 300.0], [2, 1.0, 150.0]]


def test_html_needs_no_other_file_and_shows_everything(tmp_path):
    run = write_run(
        tmp_path / "run", settings={"rate_hz": 50.0, "time_limit_ticks": 300, "note": "<b>x</b>"}
    )
    write_report(run, [run])
    page = (run / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "<script" not in page
    assert "2 in 1 episodes, 31 control ticks" in page
    for shown in ("25.0 %", "75.0 %", "+50.0 points", "c0ffee", "Privileged pretraining: yes"):
        assert shown in page
    assert page.count("<svg") == 2
    assert page.count("data:image/png;base64,") == 4
    assert "&lt;b&gt;x" in page
    assert "base, wrist camera: failure after 300 steps" in page


def test_takeovers_have_a_curve_where_there_were_any(tmp_path):
    with_person = write_run(tmp_path / "with")
    nobody = [dataclasses.replace(item, interventions=0) for item in episodes()]
    without = write_run(tmp_path / "without", results=nobody)
    for run, shown in ((with_person, True), (without, False)):
        write_report(run, [run])
        page = (run / "report.html").read_text()
        assert ("takeovers per" in page) == ("key curve" in page) == shown


def test_an_evaluation_with_a_takeover_is_no_success_and_the_report_says_so(tmp_path):
    helped = episodes()
    first = next(i for i, item in enumerate(helped) if item.kind is EpisodeKind.EVAL)
    helped[first] = dataclasses.replace(helped[first], interventions=1, human_ticks=12)
    run = write_run(tmp_path / "run", results=helped)
    report = write_report(run, [run])
    assert (report["base"]["assisted"], report["rlt"]["assisted"]) == (0, 1)
    assert report["rlt"]["success_rate"] == 0.5
    assert report["difference"]["success_rate"] == 0.25
    assert report["interventions"]["episodes"] == 2
    page = (run / "report.html").read_text()
    assert "counted as failures" in page
    assert "RLT, wrist camera: success after 100 steps, with a person" in page
    alone = write_run(tmp_path / "alone")
    write_report(alone, [alone])
    assert "counted as failures" not in (alone / "report.html").read_text()


def full_task(folder, limit=300):
    whole = [
        dataclasses.replace(item, critical_steps=item.steps - 60) for item in episodes()
    ]
    settings = {
        "rate_hz": 50.0,
        "schedule": {"full_task": True, "time_limit_ticks": limit, "approach_limit_ticks": 100},
    }
    return write_run(folder, results=whole, settings=settings)


def test_a_full_task_counts_its_whole_episodes_and_its_critical_phases(tmp_path):
    run = full_task(tmp_path / "run")
    report = write_report(run, [run])
    assert report["full_task"] is True
    assert report["rlt"]["median_steps_success"] == 100
    assert report["rlt"]["median_critical_steps"] == 40
    assert report["base"]["median_steps"] == 400  # a failure, as both limits
    assert report["base"]["throughput_per_10min"] == pytest.approx(600 / (1100 * 0.02))
    page = (run / "report.html").read_text()
    assert "the full task" in page and "median steps of their critical phases" in page


def test_full_and_critical_runs_are_not_pooled(tmp_path):
    critical = write_run(
        tmp_path / "critical", settings={"rate_hz": 50.0, "time_limit_ticks": 400}
    )
    with pytest.raises(RunFolderError, match="cannot be pooled: full_task"):
        write_report(tmp_path / "pooled", [full_task(tmp_path / "full"), critical])


def test_runs_of_older_versions_load(tmp_path):
    run = write_run(tmp_path / "run", transitions={
        "committed": 40, "published": 40, "received": 40, "lost": 0, "duplicated": 0
    })
    old = [item.to_dict() for item in episodes()]
    for line in old:
        del line["critical_steps"], line["human_ticks"]
    (run / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    report = write_report(run, [run])
    assert report["rlt"]["median_critical_steps"] == report["rlt"]["median_steps_success"]
    assert report["interventions"] == {"takeovers": 2, "ticks": 0, "episodes": 1}
    assert report["transitions"]["human"] == 0


def test_frames_stand_in_order_of_time(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "frames/eval_wrist_2.png").write_bytes(PNG + b"two")
    write_report(run, [run])
    page = (run / "report.html").read_text()
    frames = re.findall(r"base64,([\w+/=]+)", page[page.index("RLT, wrist") :])
    names = [base64.b64decode(frame)[len(PNG) :].decode() for frame in frames]
    assert names == ["eval_wrist_0", "two", "eval_wrist_10"]


def test_the_same_run_gives_the_same_report(tmp_path):
    run = write_run(tmp_path / "run")
    write_report(tmp_path / "a", [run])
    write_report(tmp_path / "b", [run])
    for name in ("report.json", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_pooling_joins_episodes_and_averages_curves(tmp_path):
    better = [
        result(item.episode, item.kind, item.seed, 80) for item in episodes(seed=1)
    ]
    runs = [
        write_run(tmp_path / "a", seed=0),
        write_run(tmp_path / "b", results=better, seed=1),
    ]
    report = write_report(tmp_path / "pooled", runs)
    assert report["seed"] == [0, 1]
    assert report["base"]["episodes"] == report["rlt"]["episodes"] == 8
    assert report["base"]["success_rate"] == 5 / 8
    assert report["difference"]["success_rate"] == 0.25
    assert report["transitions"]["committed"] == 80
    assert report["curve"] == [[1, 0.5, 190.0], [2, 1.0, 115.0]]


@pytest.mark.parametrize(
    "difference",
    [
        {"contract_hash": "other"}, {"task": "other"}, {"versions": {"rlt": "0.2.0"}},
        {"settings": {"rate_hz": 50.0, "time_limit_ticks": 400}},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_unlike_runs_are_not_pooled(tmp_path, difference):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, **difference)]
    with pytest.raises(RunFolderError, match="cannot be pooled"):
        write_report(tmp_path / "pooled", runs)
    assert not (tmp_path / "pooled").exists()


def test_a_run_is_not_pooled_with_itself(tmp_path):
    run = write_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match="seed twice"):
        write_report(tmp_path / "pooled", [run, run])


def test_aborted_and_discarded_episodes_count_nowhere(tmp_path):
    results = episodes()
    results[1] = result(2, EpisodeKind.BASE_EVAL, 1, 200, Outcome.NONE)
    results[7] = result(8, EpisodeKind.EVAL, 1, 50, Outcome.TRUNCATED)
    run = write_run(tmp_path / "run", results)
    report = write_report(run, [run])
    assert report["base"]["episodes"] == report["rlt"]["episodes"] == 3
    assert report["difference"]["success_rate"] == pytest.approx(2 / 3)
    assert "2 episodes were aborted or discarded" in (run / "report.html").read_text()


def test_one_evaluation_alone_is_reported_without_a_difference(tmp_path):
    run = write_run(tmp_path / "run", episodes()[:4])
    report = write_report(run, [run])
    assert report["rlt"] is None
    assert report["difference"] is None
    assert report["curve"] == []
    assert "not evaluated" in (run / "report.html").read_text()


def test_an_unfinished_run_is_reported_as_such(tmp_path):
    run = write_run(tmp_path / "run", wall_seconds=None, transitions=None, learner=None)
    report = write_report(run, [run])
    assert not report["finished"] and set(report["transitions"].values()) == {None}
    assert report["log"] is None and report["learner"] == {
        "updates": None, "updates_per_second": None
    }
    assert "did not end by itself" in (run / "report.html").read_text()


# ---- The log decides --------------------------------------------------------------------------

LOGGED = {
    "inserts": 35, "revisions": 1, "tombstones": 1, "episode_ends": 4,
    "kinds": {"warmup": 20, "train": 15},
    "sources": {"base": 23, "actor": 10, "human": 1, "blend": 1, "hold": 0},
}


def told(committed, received, human):
    """What the nodes report on transitions when a run has ended."""
    return {
        "committed": committed, "published": committed, "received": received,
        "lost": 0, "pending": committed - received, "duplicated": 0, "human": human,
    }


def logged_run(folder, contract, **meta):
    """The run whose log is `commits`; the episode that still runs has no line."""
    results = [
        result(1, EpisodeKind.BASE_EVAL, 0, 100),
        result(2, EpisodeKind.WARMUP, 500, 50, Outcome.SUCCESS),
        result(3, EpisodeKind.TRAIN, 501, 30, interventions=1, human_ticks=20),
    ]
    first = {"run": "run", "contract_hash": contract.hash(), "transitions": told(41, 40, 2)}
    run = write_run(folder, results, **first | meta)
    lines = (run / "episodes.jsonl").read_text().splitlines()
    extra = {"wall_seconds": 12.5, "policy_version": 3, "updates": 77}
    lines[-1] = json.dumps(json.loads(lines[-1]) | extra)
    (run / "episodes.jsonl").write_text("\n".join(lines))
    return run


def test_counts_come_from_the_log(tmp_path, contract, commits, write_log):
    run = logged_run(tmp_path / "a", contract)
    log = write_log(run, commits)  # open: the recorder may still be there
    report = write_report(run, [run])
    log.close()
    assert report["transitions"] == told(41, 40, 2)
    assert report["log"] == LOGGED
    assert report["disagreements"] == [] and report["finished"]
    page = (run / "report.html").read_text()
    for shown in ("35, 1, 1, 4", "20 warmup, 15 train", "23 base, 10 actor, 1 human, 1 blend"):
        assert shown in page
    assert "disagree" not in page
    pooled = write_report(tmp_path / "pooled", [run, twin(tmp_path / "b", run)])
    assert pooled["transitions"]["committed"] == 82 and pooled["log"]["kinds"]["train"] == 30


def twin(folder, run):
    """The same run under other seeds."""
    shutil.copytree(run, folder)
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    (folder / "episodes.jsonl").write_text(
        "".join(json.dumps(line | {"seed": line["seed"] + 9000}) + "\n" for line in lines)
    )
    return folder


def test_a_killed_run_is_reported_from_its_log_and_its_episodes(
    tmp_path, contract, commits, write_log
):
    run = logged_run(
        tmp_path / "run", contract, wall_seconds=None, transitions=None, learner=None
    )
    write_log(run, commits)
    report = write_report(run, [run])
    assert not report["finished"] and report["disagreements"] == []
    assert report["transitions"] == {
        "committed": 41, "published": None, "received": None, "lost": None, "pending": None,
        "duplicated": None, "human": 2,
    }
    assert report["log"] == LOGGED
    assert report["wall_seconds"] == 12.5
    assert report["learner"] == {"updates": 77, "updates_per_second": None}
    page = (run / "report.html").read_text()
    assert "did not end by itself" in page
    assert "<td>transitions lost, duplicated</td><td>–, –" in page


def test_what_log_and_nodes_disagree_about_is_shown(tmp_path, contract, commits, write_log):
    run = logged_run(tmp_path / "run", contract, transitions=told(43, 43, 3))
    lines = (run / "episodes.jsonl").read_text().splitlines()
    lines[1] = lines[1].replace("success", "failure")
    lines.append(json.dumps(result(4, EpisodeKind.TRAIN, 502, 20).to_dict()))
    (run / "episodes.jsonl").write_text("\n".join(lines))
    write_log(run, commits)
    report = write_report(run, [run])
    assert report["transitions"]["committed"] == 41 and report["transitions"]["lost"] == 2
    assert report["disagreements"] == [
        "run: run.json reports 43 transitions committed, log.sqlite holds 41",
        "run: run.json reports 3 transitions with a person's actions, log.sqlite holds 2",
        "run: log.sqlite holds another outcome of episode 2",
        "run: log.sqlite holds no end of episode 4",
    ]
    assert "log.sqlite holds another outcome of episode 2" in (run / "report.html").read_text()


def test_a_log_that_is_gone_is_missed(tmp_path, contract):
    run = logged_run(tmp_path / "run", contract)
    report = write_report(run, [run])
    assert report["transitions"]["committed"] == 41 and report["log"] is None
    assert report["disagreements"] == [
        "run: log.sqlite is missing, run.json reports 41 commits"
    ]


def test_a_log_that_is_damaged_or_anothers_is_refused(tmp_path, contract, commits, write_log):
    run = logged_run(tmp_path / "run", contract, contract_hash="c0ffee")
    write_log(run, commits).close()
    with pytest.raises(RunFolderError, match="has contract_hash .* run.json beside it has 'c0ff"):
        write_report(run, [run])
    log = run / "log.sqlite"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    with pytest.raises(RunFolderError, match="log.sqlite is damaged"):
        write_report(run, [run])
    assert not list(run.glob("report.*"))


# ---- Input ------------------------------------------------------------------------------------


def remove(name):
    return lambda run: (run / name).unlink()


def overwrite(name, text):
    return lambda run: (run / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("run.json"), r"run\.json is missing"),
        (remove("episodes.jsonl"), r"episodes\.jsonl is missing"),
        (overwrite("run.json", '{"run": '), r"run\.json is damaged"),
        (overwrite("run.json", "[]"), r"run\.json lacks run, task"),
        (overwrite("episodes.jsonl", ""), r"episodes\.jsonl is empty"),
        (overwrite("episodes.jsonl", '{"episode": 1}\n'), r"line 1 is not an episode .*lacks kind"),
        (overwrite("episodes.jsonl", "{}{\n"), r"line 1 is not an episode"),
    ],
)
def test_damaged_input_is_named_and_nothing_is_written(tmp_path, damage, message):
    run = write_run(tmp_path / "run")
    damage(run)
    with pytest.raises(RunFolderError, match=message):
        write_report(run, [run])
    assert not list(run.glob("report.*"))


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    run = write_run(tmp_path / "run")
    for arguments, expected in (
        (["--output", str(tmp_path / "nowhere")], "nowhere is not a folder"),
        (["--output", str(tmp_path / "file"), "--runs", str(run)], "cannot be written"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "rlt_report.report", *arguments],
            capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 1
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_path_knows_the_home_folder_where_no_shell_has_seen_it(tmp_path):
    run = write_run(tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-m", "rlt_report.report", "--output=~/run"],
        env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (run / "report.json").is_file()


def test_intervals_shrink_with_more_episodes(tmp_path):
    few = write_run(tmp_path / "few")
    many = write_run(
        tmp_path / "many",
        [
            result(i + 1, kind, i % 100, 300 if (i % 100) < failures else 100)
            for i, (kind, failures) in enumerate(
                [(EpisodeKind.BASE_EVAL, 50)] * 100 + [(EpisodeKind.EVAL, 5)] * 100
            )
        ],
    )
    widths = [
        np.ptp(write_report(run, [run])["difference"]["ci95"]) for run in (few, many)
    ]
    assert widths[1] < widths[0] / 2
