"""What is shown to the person about episode and takeover."""

from __future__ import annotations

import dataclasses

import pytest

from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase, Source
from rlt_teleop.operator_messages import episode_line, is_correction, status_line, takeover_line

RESETTING = EpisodeState(
    run="r", episode=3, kind=EpisodeKind.TRAIN, phase=Phase.RESETTING, acting=Source.BASE,
    explore=True, seed=0, tick=0, start_tick=0, critical=False,
)  # fmt: skip
RUNNING = dataclasses.replace(RESETTING, phase=Phase.RUNNING)
ENDED = dataclasses.replace(
    RUNNING, phase=Phase.ENDED, outcome=Outcome.SUCCESS, label_source="human"
)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, RESETTING, "episode 3 (training): the robot is being reset"),
        (RESETTING, RUNNING, "episode 3 (training) runs: the base policy drives"),
        (None, RUNNING, "episode 3 (training) runs: the base policy drives"),
        (RUNNING, dataclasses.replace(RUNNING, tick=9), ""),
        (
            RUNNING, dataclasses.replace(RUNNING, acting=Source.ACTOR, critical=True),
            "episode 3 (training): the actor drives from now on",
        ),
        (
            RUNNING, dataclasses.replace(RUNNING, critical=True),
            "episode 3 (training): the critical phase begins",
        ),
        (RUNNING, ENDED, "episode 3 (training): success (human)"),
        (None, ENDED, "episode 3 (training): success (human)"),
        (ENDED, ENDED, ""),
        (
            ENDED, dataclasses.replace(ENDED, outcome=Outcome.NONE, label_source="discard"),
            "episode 3 (training): no outcome (discard)",
        ),
        (ENDED, dataclasses.replace(ENDED, phase=Phase.FINISHED), "the run is finished"),
        (ENDED, dataclasses.replace(RESETTING, episode=4),
         "episode 4 (training): the robot is being reset"),
    ],
)  # fmt: skip
def test_episode_line(before, after, said):
    assert episode_line(before, after) == said


@pytest.mark.parametrize(
    ("current", "state", "correction"),
    [
        (RUNNING, dataclasses.replace(ENDED, episode=2), True),
        (RESETTING, dataclasses.replace(ENDED, episode=2), True),
        (RUNNING, ENDED, False),
        (RUNNING, dataclasses.replace(ENDED, episode=4), False),
        (RUNNING, dataclasses.replace(ENDED, episode=2, run="another"), False),
        (RUNNING, dataclasses.replace(RESETTING, episode=1), False),  # a new run of that name
        (None, dataclasses.replace(ENDED, episode=2), False),  # a node that was just started
        (dataclasses.replace(ENDED, episode=2), RUNNING, False),
    ],
)  # fmt: skip
def test_a_correction_of_an_earlier_episode_is_recognised(current, state, correction):
    assert is_correction(current, state) is correction


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (Source.ACTOR, Source.BLEND, "takeover begins: you drive"),
        (Source.HOLD, Source.HUMAN, "takeover begins: you drive"),
        (Source.BLEND, Source.HUMAN, ""),
        (Source.HUMAN, Source.HOLD, "takeover ends: the robot holds"),
        (Source.HUMAN, Source.ACTOR, "takeover ends: the actor drives"),
        (Source.HOLD, Source.BASE, ""),
    ],
)
def test_takeover_line(before, after, said):
    assert takeover_line(before, after) == said


def test_status_line_fits_the_terminal():
    line = status_line(True, RUNNING, "success: episode 2 is a success", 200)
    assert line == (
        "TAKEOVER | episode 3 training running, base policy | success: episode 2 is a success"
    )
    assert len(status_line(True, RUNNING, "x" * 500, 80)) < 80
    assert status_line(False, None, "", 80) == "takeover off | no episode yet"
