"""What is told at once: each fault by one line."""

from __future__ import annotations

from rlt_core.trainer import TrainerStatus
from rlt_learner.status import learner_health, news
from rlt_node.diagnostics import Level


def test_commits_that_are_not_finite_are_said_once_and_counted_on():
    counts = (0, 1, 1, 2, 5)
    statuses = [TrainerStatus(refused=count) for count in counts]
    said = [news(now, before) for before, now in zip(statuses, statuses[1:], strict=False)]
    assert [len(lines) for lines in said] == [1, 0, 0, 0] and "1 commits hold" in said[0][0]
    health = learner_health(["run"], statuses[-1], 0, "", True, 10)
    assert health.level is Level.WARN and health.values["not_finite"] == 5
