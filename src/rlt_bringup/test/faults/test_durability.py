"""Recorder and learner as processes that are killed again and again: nothing lost or doubled."""

from __future__ import annotations

import json
import random

import pytest

from rlt_core.durable_log import LOG_FILE
from rlt_core.records import Commit, Source

from .records import TICKS, Records


@pytest.fixture
def records(graph):
    made = Records(graph)
    yield made
    made.close()


def test_recorder_and_learner_killed_again_and_again_lose_nothing_and_double_nothing(records):
    rng = random.Random()
    records.begin()

    def again(name: str) -> None:
        records.kill(name)
        records.start(name)

    for number, victims in enumerate(
        (["learner"], ["recorder"], ["learner", "recorder"], ["recorder"], []),
        start=1,
    ):
        at = {rng.randrange(TICKS): lambda name=name: again(name) for name in victims}
        records.run_episode(number, at)
        records.closed(number)
    log = records.nothing_lost_or_doubled()
    assert records.recorder.committed == len(log)
    assert records.recorder.human == sum(
        t.commit is Commit.INSERT and Source.HUMAN in t.sources for t in log
    ) > 0
    records.caught_up(len(log))
    records.same_as_never_harmed(log)


def test_an_unusable_file_ends_the_node_in_one_sentence_and_stays_as_it_is(records):
    folder = records.output
    folder.mkdir()
    (folder / LOG_FILE).write_bytes(b"\x80\x05 this is no database" * 100)
    records.start("recorder")
    assert records.graph.ended("recorder") == 1
    said = records.graph.log("recorder")
    assert f"{folder / LOG_FILE} is damaged (file is not a database)" in said
    for name in ("manifest.json", "previous.json"):
        (folder / "checkpoint").mkdir(exist_ok=True)
        (folder / "checkpoint" / name).write_text(json.dumps({"schema": 1}))
    records.start("learner")
    assert records.graph.ended("learner") == 1
    assert "both generations in" in records.graph.log("learner")
    assert (folder / LOG_FILE).read_bytes().startswith(b"\x80\x05")
