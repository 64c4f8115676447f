"""A run's commits: with a checkpoint's checksum any different content is detected."""

from __future__ import annotations

import dataclasses
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_core.log.packing import Packing
from rlt_core.log.sqlite_log import DurableLog
from rlt_core.log.stream import OtherLog, Stream
from rlt_core.records import Outcome


@pytest.fixture(scope="module")
def commits(toy):
    """The commits of two episodes."""
    runner = toy.runner()
    results = runner.run()
    next(results), next(results)
    return runner.log.page(1, len(runner.log))


@pytest.fixture(scope="module")
def packing(toy):
    return Packing(toy.contract())


def folded(commits, packing, upto=None):
    stream = Stream("toy", packing)
    for commit in commits[:upto]:
        stream.accept(commit)
    while stream.waiting:
        stream.take()
    return stream


def test_the_checksum_of_a_commit_is_the_one_in_the_log(tmp_path, toy, commits, packing):
    log = DurableLog(tmp_path / "log.sqlite", "toy", toy.contract())
    log.commit_all(commits)
    with sqlite3.connect(log.path) as database:
        rows = database.execute("SELECT crc32 FROM commits ORDER BY seq").fetchall()
    assert [packing.checksum(commit) for commit in commits] == [crc for (crc,) in rows]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_run_goes_on_from_its_own_commits_and_from_no_others(packing, commits, data):
    upto = data.draw(st.integers(1, len(commits)), label="checkpoint")
    harmed = data.draw(st.integers(0, len(commits) - 1), label="harmed commit")
    harm = data.draw(st.sampled_from(["proprio", "rewards", "policy_version", "outcome", "swap"]))
    if harm == "swap":
        other = dataclasses.replace(commits[harmed - 1], seq=harmed + 1)
    elif harm in ("proprio", "rewards"):
        array = getattr(commits[harmed], harm)
        other = dataclasses.replace(commits[harmed], **{harm: array + np.float32(0.5)})
    else:
        other = dataclasses.replace(
            commits[harmed], **{harm: 7 if harm == "policy_version" else Outcome.TRUNCATED}
        )
    same = packing.checksum(other) == packing.checksum(commits[harmed])
    stream = Stream("toy", packing)
    stream.load_state_dict(folded(commits, packing, upto).state_dict())
    for commit in (*commits[:harmed], other, *commits[harmed + 1 :]):
        stream.accept(commit)
    if harmed < upto and not same:
        with pytest.raises(OtherLog, match=f"differs up to seq {upto} from"):
            while stream.rebuilding:
                stream.take_known(data.draw(st.integers(1, 20)))
        assert not stream.waiting
        with pytest.raises(OtherLog, match="restore that log"):
            stream.accept(commits[0])
        return
    while stream.rebuilding:
        stream.take_known(data.draw(st.integers(1, 20)))
    while stream.waiting:
        stream.take()
    if same:
        assert stream.state_dict() == folded(commits, packing).state_dict()
