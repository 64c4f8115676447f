"""What the episodes node reports on /diagnostics."""

from __future__ import annotations

import dataclasses

import pytest

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase, Source
from rlt_episodes.health import episodes_health
from rlt_node.diagnostics import Level

STATE = EpisodeState(
    run="r", episode=3, kind=EpisodeKind.TRAIN, phase=Phase.RUNNING, acting=Source.ACTOR,
    explore=True, seed=1, tick=40, start_tick=20,
)
RESULTS = [
    EpisodeResult(
        episode=number, kind=EpisodeKind.TRAIN, seed=number, outcome=outcome, steps=100,
        label_source="human", interventions=2, critical_steps=80, human_ticks=30,
    )
    for number, outcome in ((1, Outcome.SUCCESS), (2, Outcome.FAILURE))
]


def test_episodes_count_what_people_did():
    health = episodes_health(STATE, RESULTS, "")
    assert (health.level, health.message) == (Level.OK, "episode 3 is running")
    assert health.values == {
        "episode": 3, "kind": "train", "phase": "running", "acting": "actor", "critical": True,
        "ended": 2, "not_counted": 0, "successes": 1, "takeovers": 4, "human_ticks": 60,
    }


def test_episodes_that_count_nowhere_are_told_apart():
    cut = dataclasses.replace(RESULTS[0], outcome=Outcome.TRUNCATED, label_source="held")
    values = episodes_health(STATE, [*RESULTS, cut], "").values
    assert (values["ended"], values["not_counted"], values["successes"]) == (3, 1, 1)


def test_a_silent_learner_is_a_warning_but_what_the_run_waits_for_comes_first():
    silent = "learner silent for 7 s, acting on weights v4"
    health = episodes_health(STATE, RESULTS, "", learner=silent)
    assert (health.level, health.message) == (Level.WARN, silent)
    ended = dataclasses.replace(STATE, phase=Phase.ENDED)
    health = episodes_health(ended, [], "the recorder", learner=silent)
    assert health.message == "waiting for the recorder"


@pytest.mark.parametrize(
    ("phase", "level"), [(Phase.IDLE, Level.WARN), (Phase.ENDED, Level.WARN),
                         (Phase.RUNNING, Level.OK), (Phase.RESETTING, Level.OK)],
)
def test_waiting_for_long_between_episodes_is_a_warning(phase, level):
    state = dataclasses.replace(STATE, phase=phase)
    assert episodes_health(state, [], "the learner's first weights").level == level
