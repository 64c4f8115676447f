"""The replay buffer is the log reduced by key, normalised when it is stored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_core.action_space import ActionSpace, joints
from rlt_core.contract import Contract, Normaliser, VectorSpec
from rlt_core.records import Commit, EpisodeKind, Transition
from rlt_core.rl.encoding import encode_state
from rlt_core.rl.replay_buffer import ReplayBuffer


def make_contract(delay=0):
    scales = Normaliser(
        action_scale=np.array([0.5, 2.0], np.float32),
        proprio_mean=np.array([1.0], np.float32),
        proprio_std=np.array([2.0], np.float32),
        token_mean=np.array([0.0, 1.0, 2.0], np.float32),
        token_std=np.array([1.0, 1.0, 10.0], np.float32),
    )
    return Contract(
        "toy", "", "", "", (), VectorSpec(("p",), ("m",), "p"),
        ActionSpace((joints("arm", ("x", "y")),)), scales, horizon=12, chunk=2, stride=1,
        planning_delay_ticks=delay,
    )


def make_transition(step, commit=Commit.INSERT, value=1.0, delay=0, **changes):
    chunk = np.full((2, 2), value, np.float32)
    return dataclasses.replace(
        Transition(
            run="r", episode=1, step=step, seq=step + 1, commit=commit, kind=EpisodeKind.TRAIN,
            token=np.full(3, value, np.float32), proprio=np.full(1, value, np.float32),
            committed=np.full((delay, 2), value, np.float32), reference=2 * chunk,
            actions=3 * chunk, sources=np.zeros(2, np.uint8), valid=2,
            rewards=np.zeros(2, np.float32), terminated=False,
            next_token=np.full(3, -value, np.float32), next_proprio=np.full(1, value, np.float32),
            next_committed=np.full((delay, 2), value, np.float32), next_reference=4 * chunk,
        ),
        **changes,
    )


def one_of(replay):
    assert len(replay) == 1
    return replay.sample(1, np.random.default_rng(0))


def test_a_transition_comes_out_in_network_units():
    replay = ReplayBuffer(make_contract(delay=1), capacity=4)
    rewards = np.array([0, 1], np.float32)
    replay.fold(make_transition(0, value=1.0, delay=1, valid=1, rewards=rewards))
    batch = one_of(replay)
    np.testing.assert_allclose(batch.x[0], [1.0, 0.0, -0.1, 0.0, 2.0, 0.5])
    np.testing.assert_allclose(batch.next_x[0], [-1.0, -2.0, -0.3, 0.0, 2.0, 0.5])
    np.testing.assert_allclose(batch.reference[0], [[4.0, 1.0]] * 2)
    np.testing.assert_allclose(batch.actions[0], [[6.0, 1.5]] * 2)
    np.testing.assert_allclose(batch.next_reference[0], [[8.0, 2.0]] * 2)
    np.testing.assert_allclose(batch.rewards[0], [0.0, 1.0])
    assert batch.valid.tolist() == [1.0] and batch.terminated.tolist() == [0.0]


def test_standardised_values_are_clipped():
    replay = ReplayBuffer(make_contract(), capacity=4)
    replay.fold(make_transition(0, value=1e6))
    assert one_of(replay).x.abs().max() == 5.0


def test_a_terminal_transition_needs_no_next_state():
    replay = ReplayBuffer(make_contract(), capacity=4)
    nothing = np.zeros(0, np.float32)
    replay.fold(
        make_transition(
            0, terminated=True, next_token=nothing, next_proprio=nothing,
            next_committed=nothing, next_reference=nothing,
        )
    )
    batch = one_of(replay)
    assert not batch.next_x.any() and not batch.next_reference.any()


def test_a_revision_replaces_and_a_tombstone_removes():
    replay = ReplayBuffer(make_contract(), capacity=4)
    replay.fold(make_transition(0))
    replay.fold(make_transition(0, Commit.REVISION, value=2.0))
    assert one_of(replay).actions[0, 0, 0] == 12.0
    replay.fold(make_transition(0, Commit.TOMBSTONE))
    assert len(replay) == 0


def test_an_evaluation_episode_is_refused():
    replay = ReplayBuffer(make_contract(), capacity=4)
    with pytest.raises(ValueError, match="BASE_EVAL episode must not enter the replay buffer"):
        replay.fold(make_transition(0, kind=EpisodeKind.BASE_EVAL))
    with pytest.raises(ValueError, match="EPISODE_END commit is not a transition"):
        replay.fold(make_transition(0, Commit.EPISODE_END))


@pytest.mark.parametrize("field", ["reference", "actions", "next_reference"])
def test_a_wrong_shape_is_named(field):
    replay = ReplayBuffer(make_contract(), capacity=4)
    with pytest.raises(ValueError, match=f"`{field}` .* shape \\(1, 2\\)"):
        replay.fold(make_transition(0, **{field: np.zeros((1, 2), np.float32)}))


def test_a_wrong_state_is_named():
    with pytest.raises(ValueError, match="has 6 elements, the contract expects 4"):
        encode_state(
            make_contract(), np.zeros(3, np.float32), np.zeros(1, np.float32),
            np.zeros((1, 2), np.float32),
        )


def test_sampling_an_empty_replay_is_refused():
    with pytest.raises(ValueError, match="replay buffer is empty"):
        ReplayBuffer(make_contract(), capacity=4).sample(1, np.random.default_rng(0))


def test_sampling_is_a_function_of_the_generator_and_reaches_everything():
    replay = ReplayBuffer(make_contract(), capacity=8)
    for step in range(8):
        replay.fold(make_transition(step, value=float(step)))
    draws = [replay.sample(64, np.random.default_rng(3)).actions for _ in range(2)]
    assert np.array_equal(*draws)
    assert len(np.unique(draws[0].numpy()[:, 0, 0])) == 8


operations = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from([Commit.INSERT, Commit.REVISION, Commit.TOMBSTONE]),
        st.integers(1, 99),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(operations=operations, capacity=st.integers(1, 6))
def test_any_log_folds_as_a_dictionary_that_forgets_its_oldest_key(operations, capacity):
    replay, model = ReplayBuffer(make_contract(), capacity), {}
    for step, commit, value in operations:
        replay.fold(make_transition(step, commit, value=float(value)))
        if commit == Commit.TOMBSTONE:
            model.pop(step, None)
        else:
            model[step] = value
            if len(model) > capacity:
                del model[next(iter(model))]
    assert len(replay) == len(model)
    if model:
        drawn = replay.sample(400, np.random.default_rng(0)).actions.numpy()[:, 0, 1] * 2.0 / 3.0
        assert set(np.unique(np.round(drawn))) == set(model.values())
