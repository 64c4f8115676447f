"""What is logged at once: each fault by one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rlt_core.contract import Contract
from rlt_core.log.sqlite_log import DurableLog
from rlt_core.log.sqlite_wal import Dropped
from rlt_core.log.transition_log import TransitionLog
from rlt_core.rl.trainer import TrainerStatus
from rlt_learner.learner.status import learner_health, new_faults
from rlt_learner.recorder.status import Losses, report_opening
from rlt_node.diagnostics import Level

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"


def test_commits_that_are_not_finite_are_said_once_and_counted_on():
    counts = (0, 1, 1, 2, 5)
    statuses = [TrainerStatus(not_finite=count) for count in counts]
    said = [new_faults(now, before) for before, now in zip(statuses, statuses[1:], strict=False)]
    assert [len(lines) for lines in said] == [1, 0, 0, 0] and "1 commits hold" in said[0][0]
    health = learner_health(["run"], statuses[-1], 0, "", True, 10)
    assert health.level is Level.WARN and health.values["not_finite"] == 5


@pytest.mark.parametrize(
    ("dropped", "errors", "infos"),
    [
        (Dropped(), [], 0),
        (Dropped(1000, 0), [], 1),
        (Dropped(8240, 2), ["at least 2 commits of run 'run' are lost: 8240 bytes at the end"], 0),
    ],
)
def test_what_a_log_has_lost_is_said_when_it_is_opened(tmp_path, dropped, errors, infos):
    log = DurableLog(tmp_path / "log.sqlite", "run", Contract.load(MODEL / "contract.json"))
    log.dropped = dropped
    said = SimpleNamespace(errors=[], infos=[])
    report_opening(log, SimpleNamespace(error=said.errors.append, info=said.infos.append))
    assert [error[: len(start)] for error, start in zip(said.errors, errors, strict=True)] == errors
    assert len(said.infos) == infos


def test_a_log_in_memory_has_lost_nothing():
    report_opening(TransitionLog("run"), SimpleNamespace())
def test_windows_that_are_not_recorded_are_said_with_their_cause_when_there_are_more():
    said = []

    class Logger:
        def error(self, sentence, throttle_duration_sec):
            said.append(sentence)

    losses = Losses(Logger())
    for refused, missed in ((0, 0), (0, 3), (0, 3), (1, 3), (0, 0), (0, 2)):
        losses.report(refused, missed)
    assert [sentence.split(",")[0] for sentence in said] == [
        "3 windows could not be made", "1 windows hold a number that is not finite and were "
        "dropped: check cameras and policy", "2 windows could not be made",
    ]
