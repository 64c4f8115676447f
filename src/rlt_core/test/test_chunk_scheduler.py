"""The scheduler selects the right increment for each tick."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.action_space import ActionSpace, joints
from rlt_core.contract import Contract, Normaliser, VectorSpec
from rlt_core.control.chunk_scheduler import ChunkScheduler
from rlt_core.records import ActionChunk, EpisodeKind, EpisodeState, Phase, Source
from rlt_core.settings import ChunkSettings

START = 40
CHUNK = 4
STRETCH = 3


def make_contract(delay=0):
    one = np.ones(1, np.float32)
    return Contract(
        "tiny", "", "", "", (), VectorSpec(("x",), ("m",), "tcp"),
        ActionSpace((joints("arm", ("x",)),)), Normaliser(one, one, one, one, one),
        horizon=12, chunk=CHUNK, stride=2, planning_delay_ticks=delay,
    )


def make_scheduler(delay=0):
    scheduler = ChunkScheduler(make_contract(delay), ChunkSettings(max_stretch_ticks=STRETCH))
    scheduler.start(
        EpisodeState(
            "run", 3, EpisodeKind.TRAIN, Phase.RUNNING, Source.ACTOR, True, 1, START, START
        )
    )
    return scheduler


def make_chunk(obs_tick, delay=0, episode=3, version=7):
    """A chunk whose increments equal the ticks for which they are meant."""
    ticks = np.arange(obs_tick + delay, obs_tick + 12, dtype=np.float32)[:, None]
    return ActionChunk(
        episode, obs_tick, obs_tick + delay, ticks[:CHUNK], ticks[CHUNK:], Source.ACTOR, version,
        ("x",), "hash",
    )


def test_a_chunk_acts_on_its_own_ticks():
    scheduler = make_scheduler()
    assert scheduler.offer(make_chunk(START), START) is None
    for tick in range(START, START + CHUNK):
        planned = scheduler.action(tick)
        assert planned.increment == [tick]
        assert (planned.source, planned.obs_tick, planned.policy_version) == (
            Source.ACTOR, START, 7
        )


def test_a_late_chunk_is_bridged_by_the_reference_tail_then_there_is_nothing():
    scheduler = make_scheduler()
    scheduler.offer(make_chunk(START), START)
    for tick in range(START + CHUNK, START + CHUNK + STRETCH):
        planned = scheduler.action(tick)
        assert (planned.increment, planned.source, planned.policy_version) == (
            [tick], Source.BASE, 0
        )
    assert scheduler.action(START + CHUNK + STRETCH).source is Source.HOLD
    assert scheduler.action(START + CHUNK + STRETCH).increment is None


def test_a_late_chunk_skips_the_ticks_that_passed():
    scheduler = make_scheduler()
    scheduler.offer(make_chunk(START), START)
    assert scheduler.offer(make_chunk(START + CHUNK), START + CHUNK + 2) is None
    assert scheduler.action(START + CHUNK + 2).increment == [START + CHUNK + 2]


def test_an_early_chunk_waits_for_its_start():
    scheduler = make_scheduler(delay=3)
    assert scheduler.offer(make_chunk(START, delay=3), START) is None
    assert scheduler.action(START + 2).increment is None
    assert scheduler.action(START + 3).increment == [START + 3]


@pytest.mark.parametrize(
    ("chunk", "tick", "code"),
    [
        (make_chunk(START, episode=2), START, "episode"),
        (make_chunk(START, delay=1), START, "sequence"),
        (make_chunk(START - CHUNK), START, "sequence"),
        (make_chunk(START + 2), START + 2, "sequence"),
        (make_chunk(START + CHUNK), START, "sequence"),
        (make_chunk(START), START + CHUNK, "late"),
    ],
)
def test_what_does_not_belong_is_refused(chunk, tick, code):
    scheduler = make_scheduler()
    rejection = scheduler.offer(chunk, tick)
    assert rejection.code == code
    assert scheduler.action(tick).increment is None


def test_repeated_and_older_chunks_change_nothing():
    scheduler = make_scheduler()
    scheduler.offer(make_chunk(START + CHUNK), START + CHUNK)
    for obs_tick in (START + CHUNK, START):
        assert scheduler.offer(make_chunk(obs_tick, version=8), START + CHUNK).code == "sequence"
    assert scheduler.action(START).increment is None
    assert scheduler.action(START + CHUNK).policy_version == 7


@pytest.mark.parametrize("invalid", [False, True])
def test_a_chunk_from_the_future_keeps_no_true_one_out(invalid):
    scheduler = make_scheduler()
    future = make_chunk(START + 5 * CHUNK)
    if invalid:
        scheduler.void(future, START)
    else:
        scheduler.offer(future, START)
    assert not scheduler.ready(START)
    for number in range(7):
        obs_tick = START + number * CHUNK
        assert scheduler.offer(make_chunk(obs_tick), obs_tick) is None
        assert scheduler.action(obs_tick).increment == [obs_tick]


def test_a_refused_chunk_is_followed_by_nothing_until_the_next():
    scheduler = make_scheduler()
    scheduler.offer(make_chunk(START), START)
    scheduler.void(make_chunk(START + CHUNK), START + CHUNK)
    assert scheduler.action(START + CHUNK - 1).increment is not None
    assert scheduler.action(START + CHUNK).increment is None
    scheduler.offer(make_chunk(START + 2 * CHUNK), START + 2 * CHUNK)
    assert scheduler.action(START + 2 * CHUNK).increment == [START + 2 * CHUNK]


def test_flush_drops_what_was_observed_before():
    scheduler = make_scheduler(delay=2)
    scheduler.offer(make_chunk(START, delay=2), START)
    scheduler.offer(make_chunk(START + CHUNK, delay=2), START + CHUNK)
    scheduler.flush(START + 1)
    assert scheduler.action(START + 2).increment is None
    assert scheduler.action(START + 2 + CHUNK).increment == [START + 2 + CHUNK]


def test_a_new_episode_forgets_the_last():
    scheduler = make_scheduler()
    scheduler.offer(make_chunk(START), START)
    scheduler.void(make_chunk(START + CHUNK), START + CHUNK)
    state = EpisodeState(
        "run", 4, EpisodeKind.TRAIN, Phase.RUNNING, Source.ACTOR, True, 1, START, START
    )
    scheduler.start(state)
    assert not scheduler.ready(START)
    assert scheduler.action(START).increment is None
    assert scheduler.offer(make_chunk(START, episode=4), START) is None
    assert scheduler.action(START + CHUNK).increment == [START + CHUNK]


@given(st.integers(0, 5), st.integers(0, 8), st.data())
def test_lockstep_waits_exactly_for_the_chunks_that_started(delay, offered, data):
    scheduler = make_scheduler(delay)
    for number in range(offered):
        obs_tick = START + number * CHUNK
        if data.draw(st.booleans(), "invalid"):
            scheduler.void(make_chunk(obs_tick, delay), obs_tick)
        else:
            assert scheduler.offer(make_chunk(obs_tick, delay), obs_tick) is None
        scheduler.flush(data.draw(st.integers(0, START + 50), "flush"))
    for tick in range(START, START + 50):
        needed = 0 if tick < START + delay else 1 + (tick - START - delay) // CHUNK
        assert scheduler.ready(tick) == (offered >= needed)
