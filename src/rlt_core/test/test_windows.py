"""Windows: their content, when they are emitted, and independence of interleaving."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_core.action_space import ActionSpace, joints
from rlt_core.log.windows import EARLY_RECORDS, WindowBuilder
from rlt_core.records import (
    INTERRUPTED,
    KEPT_EPISODES,
    Commit,
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Features,
    Outcome,
    Phase,
    Source,
)

START = 40  # first tick of the test episodes
CHUNK, STRIDE = 4, 2  # of the toy contract


def running(kind=EpisodeKind.TRAIN, episode=1, critical=True, critical_tick=START):
    return EpisodeState(
        run="r", episode=episode, kind=kind, phase=Phase.RUNNING, acting=Source.ACTOR,
        explore=True, seed=0, tick=START, start_tick=START, critical=critical,
        critical_tick=critical_tick,
    )


def approaching():
    return running(critical=False, critical_tick=0)


def critical(step=CHUNK):
    """The state after a handover."""
    return running(critical_tick=START + step)


def ended(steps, outcome=Outcome.SUCCESS, **changes):
    return dataclasses.replace(
        running(**changes), phase=Phase.ENDED, tick=START + steps, end_tick=START + steps,
        outcome=outcome,
    )


def features(step, episode=1):
    reference = np.full((CHUNK, 2), 0.5, np.float32) + np.arange(CHUNK)[:, None] + 100 * step
    return Features(
        episode=episode, tick=START + step, token=np.full(2, step, np.float32),
        proprio=np.full(4, 10 * step, np.float32), reference=reference.astype(np.float32),
    )


def control_step(step, source=Source.ACTOR, episode=1):
    return ControlStep(
        episode=episode, tick=START + step, increment=np.full(2, -step, np.float32),
        setpoint=np.zeros(2), source=source, policy_version=7,
    )


def records(steps, sources=None):
    """All records of an episode of `steps` executed ticks, in order of ticks."""
    found = []
    for step in range(steps):
        if step % STRIDE == 0:
            found.append(features(step))
        found.append(control_step(step, sources[step] if sources else Source.ACTOR))
    return found


def feed(builder, record):
    if isinstance(record, Features):
        return builder.add_features(record)
    return builder.add_step(record)


def build(contract, steps, outcome=Outcome.SUCCESS, sources=None, kind=EpisodeKind.TRAIN,
          reference="human"):
    builder = WindowBuilder(contract, reference)
    transitions = builder.start(running(kind))
    for record in records(steps, sources):
        transitions += feed(builder, record)
    return transitions + builder.end(ended(steps, outcome, kind=kind))


def same(a, b):
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
    )


def test_a_success_gives_one_window_per_stride_and_reward_on_the_last_tick(toy):
    *windows, end = build(toy.contract(), steps=11)
    assert [t.step for t in windows] == [0, 2, 4, 6, 8, 10]
    assert [t.valid for t in windows] == [4, 4, 4, 4, 3, 1]
    assert [t.terminated for t in windows] == [False, False, False, False, True, True]
    assert [t.rewards.tolist() for t in windows[-2:]] == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert all(t.rewards.sum() == 0 for t in windows[:-2])
    assert end.commit == Commit.EPISODE_END
    assert (end.step, end.outcome) == (11, Outcome.SUCCESS)


def test_a_window_that_ends_with_the_episode_is_terminal_and_full(toy):
    *windows, _ = build(toy.contract(), steps=8)
    full = next(t for t in windows if t.step == 4)
    assert (full.valid, full.terminated, full.rewards.tolist()) == (4, True, [0, 0, 0, 1])


def test_a_window_holds_what_was_observed_executed_and_observed_next(toy):
    window = build(toy.contract(), steps=11)[1]
    assert window.step == 2
    np.testing.assert_array_equal(window.token, features(2).token)
    np.testing.assert_array_equal(window.proprio, features(2).proprio)
    np.testing.assert_array_equal(window.reference, features(2).reference)
    np.testing.assert_array_equal(window.actions[:, 0], [-2, -3, -4, -5])
    np.testing.assert_array_equal(window.next_token, features(6).token)
    np.testing.assert_array_equal(window.next_proprio, features(6).proprio)
    np.testing.assert_array_equal(window.next_reference, features(6).reference)
    assert window.policy_version == 7 and window.seq == 0


def test_the_unused_tail_of_a_short_window_is_the_references(toy):
    last = build(toy.contract(), steps=11)[-2]
    np.testing.assert_array_equal(last.actions[0], [-10, -10])
    np.testing.assert_array_equal(last.actions[1:], features(10).reference[1:])
    assert last.sources.tolist() == [Source.ACTOR, 0, 0, 0]
    assert not last.next_token.any() and not last.next_reference.any()


def test_failure_terminates_without_reward(toy):
    *windows, end = build(toy.contract(), steps=11, outcome=Outcome.FAILURE)
    assert [t.terminated for t in windows[-2:]] == [True, True]
    assert not any(t.rewards.any() for t in windows) and end.outcome == Outcome.FAILURE


def test_truncation_keeps_full_windows_with_a_next_state_only(toy):
    *windows, end = build(toy.contract(), steps=11, outcome=Outcome.TRUNCATED)
    assert [t.step for t in windows] == [0, 2, 4, 6]
    assert all(t.valid == CHUNK and not t.terminated for t in windows)
    assert end.outcome == Outcome.TRUNCATED and not end.terminated


def test_a_robot_that_was_held_teaches_what_standing_still_leads_to_and_no_failure(toy):
    sources = [Source.ACTOR] * 4 + [Source.HOLD] * 8
    *windows, end = build(toy.contract(), 12, Outcome.TRUNCATED, sources)
    assert [t.step for t in windows] == [0, 2, 4, 6]
    assert not any(t.terminated or t.rewards.any() for t in (*windows, end))
    held = windows[2]
    assert held.sources.tolist() == [Source.HOLD] * 4
    assert np.array_equal(held.actions[0], np.full(2, -4))  # what was executed
    assert np.array_equal(held.reference, features(4).reference)  # what the VLA proposed
    assert np.array_equal(held.next_proprio, features(8).proprio)


def test_windows_far_from_the_end_are_published_live_and_the_tail_waits(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    seen = {}
    for record in records(11):
        for window in feed(builder, record):
            seen[window.step] = record.tick - START
    assert seen == {0: 4, 2: 6, 4: 8, 6: 10}  # emitted with the step after the window's last


def test_human_ticks_replace_the_reference_and_the_switch_keeps_it(toy):
    sources = [Source.ACTOR] * 3 + [Source.BLEND, Source.HUMAN] + [Source.ACTOR] * 6
    human = build(toy.contract(), 11, sources=sources)[1]
    assert human.sources.tolist() == [Source.ACTOR, Source.BLEND, Source.HUMAN, Source.ACTOR]
    np.testing.assert_array_equal(human.reference[1:3], human.actions[1:3])
    np.testing.assert_array_equal(human.reference[[0, 3]], features(2).reference[[0, 3]])
    np.testing.assert_array_equal(human.next_reference, features(6).reference)
    kept = build(toy.contract(), 11, sources=sources, reference="vla")[1]
    np.testing.assert_array_equal(kept.reference, features(2).reference)


@pytest.mark.parametrize("kind", [EpisodeKind.BASE_EVAL, EpisodeKind.EVAL])
def test_evaluation_yields_nothing_but_its_end(toy, kind):
    builder = WindowBuilder(toy.contract())
    builder.start(running(kind))
    emitted = [t for step in range(11) for t in builder.add_step(control_step(step))]
    emitted += builder.end(ended(11, kind=kind))
    assert [t.commit for t in emitted] == [Commit.EPISODE_END]


def test_no_window_begins_before_the_critical_phase(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(approaching())
    emitted = []
    for record in records(15):
        if isinstance(record, Features) and record.tick < START + 4:
            continue  # the policy publishes none in the approach
        emitted += feed(builder, record)
    assert emitted == []
    live = builder.start(critical())
    assert [t.step for t in live] == [4, 6, 8, 10]
    *rest, end = builder.end(ended(15, critical_tick=START + 4))
    assert [t.step for t in rest] == [12, 14]
    assert (end.commit, end.step) == (Commit.EPISODE_END, 15)  # of the complete episode
    corrected = builder.end(ended(15, Outcome.FAILURE, critical_tick=START + 4))
    assert [t.step for t in corrected[:-1]] == [12, 14]


@pytest.mark.parametrize("critical_tick", [0, START + 12])
def test_an_episode_that_ends_in_its_approach_just_ends(toy, critical_tick):
    builder = WindowBuilder(toy.contract())
    builder.start(approaching())
    emitted = [t for step in range(11) for t in builder.add_step(control_step(step))]
    emitted += builder.end(
        ended(11, critical=bool(critical_tick), critical_tick=critical_tick)
    )
    assert [t.commit for t in emitted] == [Commit.EPISODE_END]


def test_with_a_delay_the_window_starts_later_and_carries_the_committed_actions(toy):
    *windows, _ = build(toy.contract(planning_delay_ticks=3), steps=12)
    window = windows[1]
    assert window.step == 2 + 3
    np.testing.assert_array_equal(window.token, features(2).token)
    np.testing.assert_array_equal(window.committed[:, 0], [-2, -3, -4])
    np.testing.assert_array_equal(window.actions[:, 0], [-5, -6, -7, -8])
    np.testing.assert_array_equal(window.next_token, features(6).token)
    np.testing.assert_array_equal(window.next_committed[:, 0], [-6, -7, -8])
    assert windows[-1].step == 11 and windows[-1].valid == 1  # ticks 0-2 start no window


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 17),
    delay=st.integers(0, 3),
    approach=st.sampled_from([0, 4, 8]),
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE, Outcome.TRUNCATED]),
    data=st.data(),
)
def test_any_interleaving_of_the_streams_gives_the_same_log(
    steps, delay, approach, outcome, data
):
    contract = _contract(delay)
    first = START + approach
    streams = {
        "features": [r for r in records(steps) if isinstance(r, Features) and r.tick >= first],
        "steps": [r for r in records(steps) if isinstance(r, ControlStep)],
        "states": [
            *([approaching(), critical(approach)] if approach else [running()]),
            ended(steps, outcome, critical_tick=first),
        ],
    }
    in_order = WindowBuilder(contract)
    expected = [t for state in streams["states"][:-1] for t in in_order.start(state)]
    for record in sorted(
        streams["features"] + streams["steps"], key=lambda r: (r.tick, isinstance(r, ControlStep))
    ):
        expected += feed(in_order, record)
    expected += in_order.end(streams["states"][-1])
    builder, emitted = WindowBuilder(contract), []
    while any(streams.values()):
        name = data.draw(st.sampled_from([n for n, rest in streams.items() if rest]))
        record = streams[name].pop(0)
        if isinstance(record, EpisodeState):
            ends = record.phase == Phase.ENDED
            emitted += builder.end(record) if ends else builder.start(record)
        else:
            emitted += feed(builder, record)
    assert len(emitted) == len(expected)
    assert all(same(a, b) for a, b in zip(emitted, expected, strict=True))


def test_a_lost_record_costs_its_windows_and_nothing_is_made_up(toy):
    builder = WindowBuilder(toy.contract())
    emitted = builder.start(running())
    for record in records(11):
        lost = isinstance(record, Features) and record.tick == START + 4
        emitted += [] if lost else feed(builder, record)
    emitted += builder.end(ended(11))
    assert [t.step for t in emitted[:-1]] == [2, 6, 8, 10]  # 0 lacks its x', 4 its x
    assert builder.missed == 2


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nothing_is_missed_where_every_record_came(toy, outcome):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    for record in records(11):
        feed(builder, record)
    builder.end(ended(11, outcome))
    assert builder.missed == 0


def test_what_was_missed_is_counted_on_when_its_episode_is_forgotten(toy):
    builder = WindowBuilder(toy.contract())
    for episode in range(1, KEPT_EPISODES + 2):
        builder.start(running(episode=episode))
        feed(builder, control_step(3, episode=episode))
        builder.end(ended(4, episode=episode))
        builder.flush()
    assert builder.missed == 2 * (KEPT_EPISODES + 1)


def test_a_silent_source_is_given_up_on_flush(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    for record in records(11)[:-1]:
        feed(builder, record)
    assert builder.end(ended(11)) == []
    *windows, end = builder.flush()
    assert end.commit == Commit.EPISODE_END
    assert builder.flush() == []


def test_a_corrected_label_revises_the_tail_alone(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    for record in records(11):
        feed(builder, record)
    builder.end(ended(11, Outcome.FAILURE))
    *revised, end = builder.end(ended(11, Outcome.SUCCESS))
    assert [(t.step, t.commit) for t in revised] == [(8, Commit.REVISION), (10, Commit.REVISION)]
    assert [t.rewards.sum() for t in revised] == [1, 1]
    assert end.commit == Commit.EPISODE_END and end.outcome == Outcome.SUCCESS
    assert builder.end(ended(11, Outcome.SUCCESS)) == []  # received twice, applied once


def test_a_label_on_a_truncated_episode_adds_the_short_windows(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    for record in records(11):
        feed(builder, record)
    builder.end(ended(11, Outcome.TRUNCATED))
    *added, _ = builder.end(ended(11, Outcome.SUCCESS))
    assert [(t.step, t.commit) for t in added] == [(8, Commit.INSERT), (10, Commit.INSERT)]


def test_a_discarded_episode_is_buried_window_by_window(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    emitted = [t for record in records(11) for t in feed(builder, record)]
    emitted += builder.end(ended(11))[:-1]
    *buried, end = builder.end(ended(11, Outcome.NONE))
    assert [t.key for t in buried] == [t.key for t in emitted]
    assert {t.commit for t in buried} == {Commit.TOMBSTONE} and end.outcome == Outcome.NONE


def test_a_label_that_reaches_back_into_a_live_window_revises_it(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    emitted = [t for record in records(11) for t in feed(builder, record)]
    assert emitted[-1].step == 6  # published live, ends at step 10
    *tail, end = builder.end(ended(9))
    assert end.step == 9
    assert [(t.step, t.commit, t.valid) for t in tail] == [
        (6, Commit.REVISION, 3), (8, Commit.INSERT, 1)
    ]


def test_ending_an_unknown_or_a_running_episode_is_refused(toy):
    builder = WindowBuilder(toy.contract())
    with pytest.raises(ValueError, match="episode 1 is not among"):
        builder.end(ended(3))
    builder.start(running())
    with pytest.raises(ValueError, match="RUNNING, expected ENDED"):
        builder.end(running())


def test_a_forgotten_episode_is_not_opened_again(toy):
    builder = WindowBuilder(toy.contract())
    for episode in range(1, KEPT_EPISODES + 2):
        builder.start(running(episode=episode))
        builder.end(ended(0, Outcome.TRUNCATED, episode=episode))
    late = ended(3, episode=1)
    assert builder.start(late) == [] and not builder.remembers(1)
    assert builder.remembers(2) and builder.remembers(KEPT_EPISODES + 1)
    with pytest.raises(ValueError, match="episode 1 is not among the last"):
        builder.end(late)
    builder.add_step(control_step(0, episode=KEPT_EPISODES + 2))  # of the coming episode
    builder.start(running(episode=KEPT_EPISODES + 2))
    builder.add_features(features(0, episode=KEPT_EPISODES + 2))
    *windows, _ = builder.end(ended(1, episode=KEPT_EPISODES + 2))
    assert [t.step for t in windows] == [0]


def test_an_episode_without_a_tick_just_ends(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    (end,) = builder.end(ended(0, Outcome.TRUNCATED))
    assert (end.commit, end.step) == (Commit.EPISODE_END, 0)


def _contract(delay):
    """The toy contract outside a fixture, which Hypothesis cannot reset between examples."""
    import rlt_core.contract as c

    scales = c.Normaliser(*[np.ones(n, np.float32) for n in (2, 4, 4, 2, 2)])
    return c.Contract(
        "toy", "", "", "", (), c.VectorSpec(tuple("abcd"), ("m",) * 4, "p"),
        ActionSpace((joints("arm", ("x", "y")),)), scales, horizon=20, chunk=CHUNK, stride=STRIDE,
        planning_delay_ticks=delay,
    )


# ---- Another process continues ----------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 40), cut=st.integers(0, 60), kept=st.integers(0, 60),
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.TRUNCATED, Outcome.NONE]),
)
def test_a_builder_that_is_started_again_neither_repeats_nor_undoes(
    toy, steps, cut, kept, outcome
):
    """The first dies after `cut` records; the second gets the records from `kept` on again."""
    contract, stream = toy.contract(), records(steps)
    expected = [t for t in build(contract, steps, outcome) if t.commit == Commit.INSERT]
    first = WindowBuilder(contract)
    committed = first.start(running())
    for record in stream[:cut]:
        committed += feed(first, record)
    second = WindowBuilder(contract)
    transitions = second.start(running(), committed)
    for record in stream[min(kept, cut):]:
        transitions += feed(second, record)
    transitions += second.end(ended(steps, outcome)) + second.flush()
    inserts = [t for t in transitions if t.commit == Commit.INSERT]
    keys = [t.key for t in (*committed, *inserts)]
    assert len(keys) == len(set(keys)), "a window was inserted twice"
    undone = {t.key for t in transitions if t.commit == Commit.TOMBSTONE}
    assert undone == (set(keys) if outcome is Outcome.NONE else set())
    assert [t.commit for t in transitions].count(Commit.EPISODE_END) == 1
    if min(kept, cut) == 0 and outcome is not Outcome.NONE:  # all records arrived again
        found = sorted((*committed, *inserts), key=lambda t: t.step)
        assert len(found) == len(expected)
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_records_that_come_before_their_episode_are_kept_up_to_a_bound(toy):
    builder = WindowBuilder(toy.contract())
    for step in range(EARLY_RECORDS + 10):
        builder.add_step(control_step(step, episode=9))
    assert len(builder._early) == EARLY_RECORDS
    assert builder._early[-1].tick == START + EARLY_RECORDS + 9, "the newest were dropped"


# ---- The episodes node restarts -----------------------------------------------------------------


def counted_from_0(state):
    """The state as a restarted episodes node publishes it."""
    return dataclasses.replace(
        state, tick=0, start_tick=0, end_tick=state.end_tick - START,
        critical_tick=state.critical_tick - START,
    )


def interrupted():
    """The state of an episode that was running when such a node started."""
    return dataclasses.replace(
        ended(0, Outcome.TRUNCATED), tick=0, start_tick=0, end_tick=0, critical_tick=0,
        label_source=INTERRUPTED,
    )


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(0, 40), delay=st.sampled_from([0, 2]))
def test_an_interrupted_episode_is_truncated_where_its_records_end(toy, steps, delay):
    contract = toy.contract(planning_delay_ticks=delay)
    builder, expected = WindowBuilder(contract), WindowBuilder(contract)
    found, wanted = builder.start(running()), expected.start(running())
    for record in records(steps):
        found += feed(builder, record)
        wanted += feed(expected, record)
    for _ in range(2):  # and again after the next restart
        found += builder.start(interrupted()) + builder.end(interrupted())
    wanted += expected.end(ended(steps, Outcome.TRUNCATED)) + expected.flush()
    assert len(found) == len(wanted)
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))
    assert not any(t.commit == Commit.TOMBSTONE for t in found)


def test_an_episode_that_both_processes_were_killed_in_keeps_what_was_committed(toy):
    first = WindowBuilder(toy.contract())
    committed = first.start(running())
    for record in records(21):
        committed += feed(first, record)
    assert len(committed) > 3
    second = WindowBuilder(toy.contract())
    again = second.start(running(), committed) + second.end(interrupted())
    assert [(t.commit, t.outcome) for t in again] == [(Commit.EPISODE_END, Outcome.TRUNCATED)]
    assert again[0].step == committed[-1].step + CHUNK


def test_an_interruption_does_not_change_an_episode_that_had_ended(toy):
    builder = WindowBuilder(toy.contract())
    builder.start(running())
    for record in records(11):
        feed(builder, record)
    assert builder.end(ended(11))[-1].outcome is Outcome.SUCCESS
    assert builder.end(interrupted()) == []


@pytest.mark.parametrize("heard", [False, True])
def test_an_end_that_is_told_by_a_node_started_again_is_the_same_end(toy, heard):
    builder = WindowBuilder(toy.contract())
    found = builder.start(running())
    for record in records(11)[:-1]:  # the last one is on its way
        found += feed(builder, record)
    if heard:
        found += builder.end(ended(11))
    found += builder.start(counted_from_0(ended(11))) + builder.end(counted_from_0(ended(11)))
    found += feed(builder, records(11)[-1])
    expected = build(toy.contract(), steps=11)
    assert len(found) == len(expected)
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_records_far_beyond_an_ended_episode_are_not_searched_for_windows(toy):
    builder = WindowBuilder(toy.contract())
    far = dataclasses.replace(control_step(0), tick=10**12)  # ticks may count a machine's uptime
    builder.add_step(far)
    builder.add_features(dataclasses.replace(features(0), tick=10**12))
    end = counted_from_0(ended(11, Outcome.TRUNCATED))
    transitions = builder.start(end) + builder.end(end)
    assert [t.commit for t in transitions] == [Commit.EPISODE_END]
