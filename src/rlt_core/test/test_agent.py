"""The actor-critic's equations against a literal implementation, and its determinism."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rlt_core.rl.agent import Agent
from rlt_core.rl.networks import Actor, TwinCritic
from rlt_core.rl.replay_buffer import Batch
from rlt_core.settings import AgentSettings

BOUND = np.array([1.2, 0.8], np.float32)
QUIET = AgentSettings(hidden_dim=16, batch_size=8, target_policy_noise=0.0, reference_dropout=0.0)


def make_agent(contract, settings=QUIET, seed=0):
    agent = Agent(contract, BOUND, settings, seed)
    with torch.no_grad():
        agent.target.bias3.fill_(0.5)  # values within the range of returns
    return agent


def make_batch(contract, size=8, seed=0):
    rng = np.random.default_rng(seed)
    chunk = (size, contract.chunk, contract.action.size)

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    rewards = np.zeros((size, contract.chunk), np.float32)
    rewards[0, -1] = rewards[1, 1] = 1.0
    valid = np.full(size, contract.chunk, np.float32)
    valid[1] = 2
    terminated = np.zeros(size, np.float32)
    terminated[:3] = 1
    return Batch(
        x=normal(size, contract.state_size), reference=0.3 * normal(*chunk),
        actions=0.3 * normal(*chunk), rewards=torch.from_numpy(rewards),
        valid=torch.from_numpy(valid), terminated=torch.from_numpy(terminated),
        next_x=normal(size, contract.state_size), next_reference=0.3 * normal(*chunk),
    )


def literal_q(critic, which, x, actions):
    """One critic, layer by layer."""
    h = torch.cat([x, actions.reshape(len(x), -1)], 1)
    for layer in (1, 2):
        weight = getattr(critic, f"weight{layer}")[which]
        h = h @ weight + getattr(critic, f"bias{layer}")[which]
        h = (h - h.mean(1, keepdim=True)) / (h.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        h = h.clamp(min=0)
    return (h @ critic.weight3[which] + critic.bias3[which])[:, 0]


def value_of(agent, batch):
    return agent.critic(batch.x, agent.actor(batch.x, batch.reference)).amin(0).mean().item()


def test_the_twin_critics_are_two_independent_networks(toy):
    contract = toy.contract()
    critic = make_agent(contract).critic
    batch = make_batch(contract)
    values = critic(batch.x, batch.actions)
    assert values.shape == (2, 8)
    for which in range(2):
        expected = literal_q(critic, which, batch.x, batch.actions)
        torch.testing.assert_close(values[which], expected, rtol=1e-4, atol=1e-5)
    assert (values[0] - values[1]).abs().min() > 1e-6


def test_the_target_is_equation_3_with_the_windows_true_length(toy):
    contract = toy.contract()
    agent = make_agent(contract)
    batch = make_batch(contract)
    gamma = agent.settings.gamma
    expected = []
    for b in range(8):
        n = int(batch.valid[b])
        value = sum(gamma**t * float(batch.rewards[b, t]) for t in range(n))
        if not batch.terminated[b]:
            x, reference = batch.next_x[b : b + 1], batch.next_reference[b : b + 1]
            actions = agent.actor(x, reference)
            q = min(literal_q(agent.target, k, x, actions).item() for k in range(2))
            value += gamma**n * q
        expected.append(min(max(value, 0.0), 1.0))
    np.testing.assert_allclose(agent.td_target(batch).numpy(), expected, atol=1e-5)
    assert expected[0] == pytest.approx(gamma**3) and expected[1] == pytest.approx(gamma)
    assert expected[2] == 0.0  # a failure
    assert sum(0.0 < value < 1.0 for value in expected[3:]) >= 3


def test_targets_stay_within_the_range_of_returns(toy):
    contract = toy.contract()
    agent = make_agent(contract)
    with torch.no_grad():
        agent.target.bias3.copy_(torch.tensor([5.0, 5.0]).view(2, 1, 1))
    batch = make_batch(contract)
    assert agent.td_target(batch).max() == 1.0
    with torch.no_grad():
        agent.target.bias3.neg_()
    assert agent.td_target(batch).min() == 0.0


def test_target_smoothing_is_clipped_and_off_at_zero(toy):
    contract = toy.contract()
    noisy = dataclasses.replace(QUIET, target_policy_noise=100.0, target_policy_noise_clip=1e-4)
    batch = make_batch(contract)
    plain = make_agent(contract).td_target(batch)
    smoothed = make_agent(contract, noisy).td_target(batch)
    assert not torch.equal(plain, smoothed)
    torch.testing.assert_close(plain, smoothed, atol=1e-3, rtol=0)


def test_one_critic_step_is_adam_on_the_squared_error(toy):
    contract = toy.contract()
    agent, twin = make_agent(contract), make_agent(contract)
    batch = make_batch(contract)
    optimiser = torch.optim.Adam(twin.critic.parameters(), lr=3e-4, foreach=False, fused=False)
    errors = [
        (literal_q(twin.critic, k, batch.x, batch.actions) - twin.td_target(batch)) ** 2
        for k in range(2)
    ]
    loss = errors[0].mean() + errors[1].mean()
    loss.backward()
    optimiser.step()
    metrics = agent.update_critic(batch)
    assert metrics["critic_loss"] == pytest.approx(loss.item(), rel=1e-4)
    for name, weight in agent.critic.state_dict().items():
        torch.testing.assert_close(weight, twin.critic.state_dict()[name], atol=2e-6, rtol=1e-3)


def test_the_target_critic_follows_by_tau(toy):
    contract = toy.contract()
    settings = dataclasses.replace(QUIET, tau=0.25)
    agent = make_agent(contract, settings)
    before = agent.target.weight2.clone()
    agent.update_critic(make_batch(contract))
    expected = 0.75 * before + 0.25 * agent.critic.weight2
    torch.testing.assert_close(agent.target.weight2, expected.detach())


def test_the_actor_loss_is_equation_5(toy):
    contract = toy.contract()
    agent = make_agent(contract)
    batch = make_batch(contract)
    raw = agent.actor.unbounded(batch.x, batch.reference)
    bound = torch.from_numpy(BOUND)
    actions = torch.minimum(torch.maximum(raw, -bound), bound)
    q = torch.minimum(*[literal_q(agent.critic, k, batch.x, actions) for k in range(2)])
    distance = ((raw - batch.reference) ** 2).reshape(8, -1).sum(1)
    expected = (agent.settings.beta_sum * distance - q).mean().item()
    critic = {k: v.clone() for k, v in agent.critic.state_dict().items()}
    metrics = agent.update_actor(batch)
    assert metrics["actor_loss"] == pytest.approx(expected, abs=1e-5)
    rms = ((raw - batch.reference) ** 2).mean().sqrt().item()
    assert metrics["reference_distance"] == pytest.approx(rms, abs=1e-6)
    for name, weight in agent.critic.state_dict().items():
        assert torch.equal(weight, critic[name])  # the actor's step leaves the critic alone


def test_dropout_hides_the_reference_from_the_input_and_not_from_the_distance(toy):
    contract = toy.contract()
    agent = make_agent(contract, dataclasses.replace(QUIET, reference_dropout=1.0))
    batch = make_batch(contract)
    blind = agent.actor.unbounded(batch.x, torch.zeros_like(batch.reference))
    distance = ((blind - batch.reference) ** 2).sum((1, 2)).mean()
    value = agent.critic(batch.x, agent.actor.clamp(blind)).amin(0).mean()
    metrics = agent.update_actor(batch)
    expected = agent.settings.beta_sum * distance - value
    assert metrics["actor_loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert metrics["reference_distance"] == 0.0  # measured where the reference is shown


def test_dropout_hides_about_the_asked_part_of_a_batch(toy):
    contract = toy.contract()
    agent = make_agent(contract, dataclasses.replace(QUIET, reference_dropout=0.3))
    _, shown = agent._chunk_under_dropout(make_batch(contract, size=2000))
    assert shown.mean().item() == pytest.approx(0.7, abs=0.04)


def test_imitation_copies_the_reference(toy):
    contract = toy.contract()
    agent = make_agent(contract, dataclasses.replace(QUIET, learning_rate=3e-3, hidden_dim=64))
    batch = make_batch(contract, size=64)
    first = agent.imitate(batch)["reference_distance"]
    for _ in range(300):
        last = agent.imitate(batch)["reference_distance"]
    assert last < 0.1 * first


def test_the_actor_climbs_the_critic_and_the_anchor_holds_it(toy):
    contract = toy.contract()
    batch = make_batch(contract, size=64)
    ends = []
    for beta in (0.0, 10.0):
        settings = dataclasses.replace(QUIET, beta_sum=beta, learning_rate=3e-3)
        agent = make_agent(contract, settings)
        before = value_of(agent, batch)
        for _ in range(200):
            distance = agent.update_actor(batch)["reference_distance"]
        after = value_of(agent, batch)
        ends.append((after - before, distance))
    assert ends[0][0] > 0.05 and ends[0][1] > 2 * ends[1][1]


def test_outside_the_bound_the_anchor_still_pulls_the_actor_back(toy):
    contract = toy.contract()
    agent = make_agent(contract, dataclasses.replace(QUIET, learning_rate=1e-2))
    with torch.no_grad():
        agent.actor.bias3.fill_(5.0)
    batch = make_batch(contract)
    assert (agent.actor(batch.x, batch.reference) == agent.actor.bound).all()
    distances = [agent.update_actor(batch)["reference_distance"] for _ in range(200)]
    assert distances[-1] < 0.5 * distances[0]


def test_actions_stay_within_the_bound(toy):
    contract = toy.contract()
    actor = Actor(contract.state_size, contract.chunk, 2, 16, BOUND)
    batch = make_batch(contract)
    with torch.no_grad():
        actor.weight3.mul_(100.0)
    actions = actor(batch.x, batch.reference)
    assert (actions.abs() <= torch.from_numpy(BOUND)).all()
    assert (actions.abs() == torch.from_numpy(BOUND)).any()


def test_the_seed_fixes_the_weights_and_every_update(toy):
    contract = toy.contract()
    settings = AgentSettings(hidden_dim=16, batch_size=8)
    agents = [make_agent(contract, settings, seed) for seed in (5, 5, 6)]
    for k in range(4):
        for agent in agents:
            agent.update(make_batch(contract, seed=k), actor=k % 2 == 1)
    states = [agent.state_dict() for agent in agents]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["actor.weight1"], states[2]["actor.weight1"])


def test_a_loaded_agent_continues_bit_for_bit(toy):
    contract = toy.contract()
    settings = AgentSettings(hidden_dim=16, batch_size=8)
    agent, other = make_agent(contract, settings), make_agent(contract, settings, seed=9)
    for k in range(3):
        agent.update(make_batch(contract, seed=k), actor=True)
    other.load_state_dict(agent.state_dict())
    for k in range(3, 6):
        metrics = [a.update(make_batch(contract, seed=k), actor=True) for a in (agent, other)]
        assert metrics[0] == metrics[1]
    states = agent.state_dict(), other.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_fresh_agents_state_loads_too(toy):
    agent = make_agent(toy.contract())
    agent.load_state_dict(make_agent(toy.contract(), seed=3).state_dict())
    agent.update(make_batch(toy.contract()), actor=True)


def test_another_agents_state_is_refused(toy):
    wide = make_agent(toy.contract(), dataclasses.replace(QUIET, hidden_dim=32))
    with pytest.raises(ValueError, match="checkpoint does not fit"):
        make_agent(toy.contract()).load_state_dict(wide.state_dict())


def test_published_weights_are_a_copy(toy):
    agent = make_agent(toy.contract())
    weights = agent.actor_state()
    before = weights["weight1"].clone()
    agent.update(make_batch(toy.contract()), actor=True)
    assert torch.equal(weights["weight1"], before)
    assert not torch.equal(agent.actor.weight1, before)


def test_networks_without_a_generator_are_reproducible():
    critics = [TwinCritic(3, 2, 2, 8) for _ in range(2)]
    assert torch.equal(critics[0].weight1, critics[1].weight1)
