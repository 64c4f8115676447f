"""What is told at once: each fault by one line."""

from __future__ import annotations

from rlt_core.trainer import TrainerStatus
from rlt_learner.intake import Intake
from rlt_learner.status import Losses, learner_health, news
from rlt_node.diagnostics import Level


def test_commits_that_are_not_finite_are_said_once_and_counted_on():
    counts = (0, 1, 1, 2, 5)
    statuses = [TrainerStatus(refused=count) for count in counts]
    said = [news(now, before) for before, now in zip(statuses, statuses[1:], strict=False)]
    assert [len(lines) for lines in said] == [1, 0, 0, 0] and "1 commits hold" in said[0][0]
    health = learner_health("run", statuses[-1], Intake(), "", True, 10)
    assert health.level is Level.WARN and health.values["not_finite"] == 5


def test_windows_that_are_not_recorded_are_said_with_their_cause_when_there_are_more():
    said = []

    class Logger:
        def error(self, sentence, throttle_duration_sec):
            said.append(sentence)

    losses = Losses(Logger())
    for refused, missed in ((0, 0), (0, 3), (0, 3), (1, 3), (0, 0), (0, 2)):
        losses.tell(refused, missed)
    assert [sentence.split(",")[0] for sentence in said] == [
        "3 windows could not be made", "1 windows hold a number that is not finite and were "
        "dropped: check cameras and policy", "2 windows could not be made",
    ]
