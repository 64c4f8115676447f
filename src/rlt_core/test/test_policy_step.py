"""The policy's step: observation, reference, edit and exploration at each tick."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rlt_core.records import EpisodeKind, EpisodeState, Observation, Phase, Source
from rlt_core.rl.agent import Agent
from rlt_core.rl.encoding import encode_state
from rlt_core.rl.policy_step import NotFinite, PolicyStep
from rlt_core.settings import AgentSettings

SETTINGS = AgentSettings(hidden_dim=16, exploration_noise=0.05, exploration_noise_chunk=0.03)
BOUND = np.array([1.2, 1.2], np.float32)
START = 40


def episode(kind=EpisodeKind.TRAIN, **changes):
    state = EpisodeState(
        run="r", episode=3, kind=kind, phase=Phase.RUNNING, acting=kind.acting, explore=False,
        seed=11, tick=START, start_tick=START,
    )
    return dataclasses.replace(state, **changes)


def observation(tick):
    pixel = np.array([[[100, 180, 0]]], np.uint8)
    return Observation(tick, {"wrist": pixel}, np.full(4, 0.001 * tick, np.float32))


def make_policy(toy, contract=None, weights=True, settings=SETTINGS):
    contract = contract or toy.contract()
    policy = PolicyStep(toy.vla(contract), toy.token(), contract, settings)
    if weights:
        policy.set_weights(5, Agent(contract, BOUND, settings, seed=1).actor_state())
    return policy


def test_a_base_chunk_is_the_reference_and_its_tail(toy):
    policy = make_policy(toy, weights=False)
    features, chunk = policy.observe(observation(START), episode(EpisodeKind.WARMUP))
    assert chunk.actions.shape == (4, 2) and chunk.tail.shape == (16, 2)
    np.testing.assert_array_equal(chunk.actions, features.reference)
    assert (chunk.source, chunk.policy_version) == (Source.BASE, 0)
    assert (chunk.obs_tick, chunk.start_tick, chunk.episode) == (START, START, 3)
    assert chunk.contract_hash == toy.contract().hash()


def test_between_boundaries_the_reference_is_shifted_and_never_sampled_afresh(toy):
    policy = make_policy(toy, weights=False)
    _, chunk = policy.observe(observation(START), episode(EpisodeKind.WARMUP))
    whole = np.concatenate((chunk.actions, chunk.tail))
    features, nothing = policy.observe(observation(START + 2), episode(EpisodeKind.WARMUP))
    assert nothing is None
    np.testing.assert_array_equal(features.reference, whole[2:6])
    fresh, _ = policy.observe(observation(START + 4), episode(EpisodeKind.WARMUP))
    assert not np.array_equal(fresh.reference, whole[4:8])


def test_the_actor_edits_the_reference_it_is_shown(toy):
    contract = toy.contract()
    policy = make_policy(toy)
    features, chunk = policy.observe(observation(START), episode())
    agent = Agent(contract, BOUND, SETTINGS, seed=1)
    x = encode_state(contract, features.token, features.proprio, np.zeros((0, 2), np.float32))
    reference = contract.normaliser.actions(features.reference)
    mean = agent.actor(torch.from_numpy(x)[None], torch.from_numpy(reference)[None])[0]
    expected = contract.normaliser.to_si(mean.detach().numpy())
    np.testing.assert_allclose(chunk.actions, expected, rtol=1e-6)
    assert (chunk.source, chunk.policy_version) == (Source.ACTOR, 5)
    np.testing.assert_array_equal(features.proprio, observation(START).proprio)


def test_exploration_is_added_on_request_and_depends_on_seed_and_step_alone(toy):
    def actions(**changes):
        return make_policy(toy).observe(observation(START), episode(**changes))[1].actions

    plain, explored = actions(), actions(explore=True)
    noise = (explored - plain) / 0.001
    assert 0 < np.abs(noise).max() < 0.5
    np.testing.assert_array_equal(explored, actions(explore=True, run="another", episode=9))
    assert not np.array_equal(explored, actions(explore=True, seed=12))
    later = make_policy(toy).observe(observation(START + 4), episode(explore=True))[1].actions
    assert not np.array_equal(explored, later)


def test_exploration_has_a_part_per_tick_and_a_part_per_chunk(toy):
    spread = []
    for each, common in ((0.1, 0.0), (0.0, 0.1)):
        settings = dataclasses.replace(
            SETTINGS, exploration_noise=each, exploration_noise_chunk=common
        )
        noise = []
        for seed in range(60):
            chunks = [
                make_policy(toy, settings=settings).observe(
                    observation(START), episode(seed=seed, explore=explore)
                )[1].actions
                for explore in (False, True)
            ]
            noise.append((chunks[1] - chunks[0]) / 0.001)
        assert np.std(noise) == pytest.approx(0.1, rel=0.25)
        spread.append(np.abs(np.diff(noise, axis=1)).max())
    assert spread[0] > 0.1 and spread[1] < 1e-4


def test_exploration_stays_within_the_bound(toy):
    settings = dataclasses.replace(SETTINGS, exploration_noise=50.0)
    policy = make_policy(toy, settings=settings)
    _, chunk = policy.observe(observation(START), episode(explore=True))
    assert np.abs(chunk.actions).max() == pytest.approx(1.2 * 0.001)


def test_evaluation_takes_boundaries_alone_and_yields_no_features(toy):
    policy = make_policy(toy)
    state = episode(EpisodeKind.EVAL)
    assert policy.wants(START, state) and not policy.wants(START + 2, state)
    assert policy.wants(START + 2, episode()) and not policy.wants(START + 1, episode())
    features, chunk = policy.observe(observation(START), state)
    assert features is None and chunk.source == Source.ACTOR
    assert policy.observe(observation(START + 2), state) == (None, None)


def test_evaluation_acts_as_training_does_without_noise(toy):
    train = make_policy(toy).observe(observation(START), episode())[1]
    evaluation = make_policy(toy).observe(observation(START), episode(EpisodeKind.EVAL))[1]
    np.testing.assert_array_equal(train.actions, evaluation.actions)


def test_the_base_policy_drives_the_approach_and_nothing_of_it_is_stored(toy):
    policy = make_policy(toy)
    approach = episode(acting=Source.BASE, critical=False)
    for tick, state in (
        (START, approach), (START + 4, episode(critical_tick=START + 8)),
    ):
        features, chunk = policy.observe(observation(tick), state)
        assert features is None and chunk.source == Source.BASE
        assert not policy.wants(tick + 2, state)
    critical = episode(critical_tick=START + 8)
    features, chunk = policy.observe(observation(START + 8), critical)
    assert features.tick == START + 8 and chunk.source == Source.ACTOR
    assert policy.observe(observation(START + 10), critical)[0].tick == START + 10


def test_an_observation_without_its_boundary_yields_nothing(toy):
    policy = make_policy(toy)
    assert policy.observe(observation(START + 2), episode()) == (None, None)
    policy.observe(observation(START), episode())
    assert policy.observe(observation(START + 6), episode()) == (None, None)
    assert policy.observe(observation(START + 2), episode(episode=4)) == (None, None)


def test_a_delay_shifts_the_chunk_and_shows_the_actor_what_is_committed(toy):
    contract = toy.contract(planning_delay_ticks=3)
    policy = make_policy(toy, contract)
    features, first = policy.observe(observation(START), episode())
    assert first.start_tick == START + 3 and first.tail.shape == (13, 2)
    assert features.reference.shape == (4, 2)
    _, second = policy.observe(observation(START + 4), episode())
    other = make_policy(toy, contract)
    other._propose(other._vla.embed([observation(START)]), START, episode())
    _, uncommitted = other.observe(observation(START + 4), episode())
    assert not np.array_equal(second.actions, uncommitted.actions)
    np.testing.assert_array_equal(policy._committed(START + 4), first.actions[1:])


def test_the_reference_goes_on_with_its_last_row_past_the_horizon(toy):
    contract = toy.contract(horizon=8, chunk=6, stride=2)
    policy = make_policy(toy, contract, weights=False)
    state = episode(EpisodeKind.WARMUP, start_tick=36)
    _, chunk = policy.observe(observation(36), state)
    whole = np.concatenate((chunk.actions, chunk.tail))
    features, _ = policy.observe(observation(40), state)
    np.testing.assert_array_equal(features.reference[:4], whole[4:])
    np.testing.assert_array_equal(features.reference[4:], whole[[7, 7]])


def test_an_actor_without_weights_is_refused(toy):
    with pytest.raises(RuntimeError, match="episode 3 needs the actor"):
        make_policy(toy, weights=False).observe(observation(START), episode())


def test_broken_or_foreign_weights_are_refused_and_the_old_ones_stay(toy):
    policy = make_policy(toy)
    weights = Agent(toy.contract(), BOUND, SETTINGS, seed=2).actor_state()
    broken = {**weights, "bias3": weights["bias3"] * float("nan")}
    with pytest.raises(ValueError, match="version 6 are not finite in bias3"):
        policy.set_weights(6, broken)
    with pytest.raises(ValueError, match="this policy expects"):
        policy.set_weights(6, {**weights, "bias3": weights["bias3"][:-1]})
    assert policy.version == 5
    policy.set_weights(6, weights)
    assert policy.version == 6


@pytest.mark.parametrize("what", ["proprioception", "RL token", "reference", "actor's chunk"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_is_refused_and_leaves_nothing_behind(toy, what, number):
    """With a delay the plan is part of the next state: a bad chunk must not affect the next."""
    policy = make_policy(toy, toy.contract(planning_delay_ticks=3))
    policy.observe(observation(START), episode())
    planned = dict(policy._planned)
    seen = observation(START + 4)
    broken = {
        "proprioception": (seen, "proprio", lambda: np.full(4, number, np.float32)),
        "RL token": (policy._token, "encode", lambda _: np.full((1, 2), number, np.float32)),
        "reference": (policy._vla, "sample", lambda *_: np.full((1, 20, 2), number, np.float32)),
        "actor's chunk": (policy, "_actor", lambda *_: torch.full((1, 4, 2), number)),
    }
    owner, name, replacement = broken[what]
    if what == "proprioception":
        seen = dataclasses.replace(seen, proprio=replacement())
    else:
        working = getattr(owner, name)
        setattr(owner, name, replacement)
    with pytest.raises(NotFinite, match=f"{what} for the observation of tick {START + 4}"):
        policy.observe(seen, episode())
    assert policy._planned == planned
    if what != "proprioception":
        setattr(owner, name, working)
    features, chunk = policy.observe(observation(START + 8), episode())
    for values in (features.token, features.reference, chunk.actions, chunk.tail):
        assert np.isfinite(values).all()


def test_a_refused_reference_yields_no_features_until_the_next_boundary(toy):
    policy = make_policy(toy)
    policy.observe(observation(START), episode())
    proposed = policy._vla.sample
    policy._vla.sample = lambda *_: np.full((1, 20, 2), np.nan, np.float32)
    with pytest.raises(NotFinite):
        policy.observe(observation(START + 4), episode())
    policy._vla.sample = proposed
    assert policy.observe(observation(START + 6), episode()) == (None, None)
    assert policy.observe(observation(START + 8), episode())[1] is not None
