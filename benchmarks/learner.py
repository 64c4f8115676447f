"""Updates per second of the learner, against a plain TD3 loop body with the same networks.

Both run the same equations on the same batches from the same weights and noise, one thread each,
in alternating rounds (ABAB), so that a busy machine slows both. The plain body follows
CleanRL's TD3: one module per critic, `torch.optim.Adam` with its defaults, a Python loop for the
targets. Prints a table and exits with 1 if the speed-up is below the goal or the losses differ.

    python benchmarks/learner.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from rlt_core.action_space import ActionSpace, tool_yaw
from rlt_core.contract import CameraSpec, Contract, Normaliser, VectorSpec
from rlt_core.rl.agent import Agent
from rlt_core.rl.replay_buffer import Batch
from rlt_core.settings import AgentSettings

GOAL = 1.3
LOSS_TOLERANCE = 1e-3


def main() -> int:
    """Run the comparison; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="alternating rounds per side")
    parser.add_argument("--updates", type=int, default=100, help="updates per round and side")
    parser.add_argument("--token", type=int, default=128, help="width of the RL token")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    contract, settings = make_contract(arguments.token), AgentSettings()
    agent = Agent(contract, np.full(4, 1.2, np.float32), settings, seed=0)
    plain = PlainTD3(Agent(contract, np.full(4, 1.2, np.float32), settings, seed=0), contract)
    batches = [make_batch(contract, settings.batch_size, seed) for seed in range(50)]

    gap = _largest_loss_gap(agent.update, plain.update, batches)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(arguments.rounds):
        for side, update in enumerate((plain.update, agent.update)):
            rates[side].append(_rate(update, batches, arguments.updates))
    speedup = statistics.median(ours / theirs for theirs, ours in zip(*rates, strict=True))

    print(f"state {contract.state_size}, chunk {contract.chunk} x {contract.action.size}, hidden "
          f"{settings.hidden_dim}, batch {settings.batch_size}, torch {torch.__version__}, "
          "one thread")
    print(f"{'':24} {'updates/s (median)':>20} {'best':>8}")
    for name, side in (("plain TD3 loop body", rates[0]), ("rlt_core.rl.agent.Agent", rates[1])):
        print(f"{name:24} {statistics.median(side):20.0f} {max(side):8.0f}")
    print(f"speed-up {speedup:.2f} x (goal {GOAL} x), median of {arguments.rounds} paired rounds; "
          f"largest difference of the critic losses over {len(batches)} updates {gap:.1e}")
    return int(speedup < GOAL or gap > LOSS_TOLERANCE)


class PlainTD3:
    """The learner's equations written the straightforward way."""

    def __init__(self, agent: Agent, contract: Contract) -> None:
        """Take over an agent's initial weights and generator."""
        self.settings = agent.settings
        self.generator = agent.generator
        self.bound = agent.actor.bound
        chunk_size = contract.chunk * contract.action.size
        sizes = (contract.state_size, chunk_size, self.settings.hidden_dim)
        self.actor = PlainActor(*sizes)
        critics = [PlainCritic(*sizes) for _ in range(4)]
        self.qf1, self.qf2, self.qf1_target, self.qf2_target = critics
        _copy_actor(agent, self.actor)
        for index, critic in enumerate(critics):
            _copy_critic(agent, index % 2, critic)
        rate = self.settings.learning_rate
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=rate)
        self.q_optimizer = torch.optim.Adam(
            list(self.qf1.parameters()) + list(self.qf2.parameters()), lr=rate
        )

    def update(self, batch: Batch, actor: bool) -> dict[str, float]:
        """One critic update and, if `actor`, one actor update."""
        s = self.settings
        with torch.no_grad():
            noise = torch.randn(batch.reference.shape, generator=self.generator)
            noise = s.target_policy_noise * noise
            noise = noise.clamp(-s.target_policy_noise_clip, s.target_policy_noise_clip)
            next_actions = self.actor(batch.next_x, batch.next_reference) + noise
            next_actions = torch.clamp(next_actions, -self.bound, self.bound)
            next_q = torch.min(
                self.qf1_target(batch.next_x, next_actions),
                self.qf2_target(batch.next_x, next_actions),
            )
            discounts = s.gamma ** torch.arange(batch.rewards.shape[1])
            returns = (batch.rewards * discounts).sum(1)
            target = returns + s.gamma**batch.valid * (1 - batch.terminated) * next_q
            target = target.clamp(0.0, 1.0)
        q1 = self.qf1(batch.x, batch.actions)
        q2 = self.qf2(batch.x, batch.actions)
        q_loss = functional.mse_loss(q1, target) + functional.mse_loss(q2, target)
        self.q_optimizer.zero_grad()
        q_loss.backward()
        self.q_optimizer.step()
        if actor:
            draw = torch.rand(len(batch.reference), generator=self.generator)
            shown = (draw >= s.reference_dropout).float()
            actions = self.actor(batch.x, batch.reference * shown[:, None, None])
            clipped = torch.clamp(actions, -self.bound, self.bound)
            q = torch.min(self.qf1(batch.x, clipped), self.qf2(batch.x, clipped))
            distance = (actions - batch.reference).pow(2).sum((1, 2))
            actor_loss = (s.beta_sum * distance - q).mean()
            self.actor_optimizer.zero_grad()
            actor_loss.backward()
            self.actor_optimizer.step()
        pairs = ((self.qf1, self.qf1_target), (self.qf2, self.qf2_target))
        for online, slow in pairs:
            for p, t in zip(online.parameters(), slow.parameters(), strict=True):
                t.data.copy_(s.tau * p.data + (1 - s.tau) * t.data)
        return {"critic_loss": q_loss.item()}


class PlainActor(nn.Module):
    """The actor as three linear layers."""

    def __init__(self, state: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(state + actions, hidden)
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, actions)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Return the chunk before clamping."""
        hidden = functional.relu(self.norm(self.fc1(torch.cat([x, reference.flatten(1)], 1))))
        out: Tensor = self.fc3(functional.relu(self.fc2(hidden)))
        return out.view_as(reference)


class PlainCritic(nn.Module):
    """One critic as three linear layers."""

    def __init__(self, state: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(state + actions, hidden)
        self.norm1 = nn.LayerNorm(hidden, elementwise_affine=False)
        self.fc2 = nn.Linear(hidden, hidden)
        self.norm2 = nn.LayerNorm(hidden, elementwise_affine=False)
        self.fc3 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        """Return the value of each pair."""
        hidden = functional.relu(self.norm1(self.fc1(torch.cat([x, actions.flatten(1)], 1))))
        out: Tensor = self.fc3(functional.relu(self.norm2(self.fc2(hidden))))
        return out.squeeze(1)


def _copy_actor(agent: Agent, plain: PlainActor) -> None:
    source = agent.actor.state_dict()
    for number, layer in enumerate((plain.fc1, plain.fc2, plain.fc3), start=1):
        layer.weight.data.copy_(source[f"weight{number}"])
        layer.bias.data.copy_(source[f"bias{number}"])


def _copy_critic(agent: Agent, index: int, plain: PlainCritic) -> None:
    source = agent.critic.state_dict()
    for number, layer in enumerate((plain.fc1, plain.fc2, plain.fc3), start=1):
        layer.weight.data.copy_(source[f"weight{number}"][index].T)
        layer.bias.data.copy_(source[f"bias{number}"][index, 0])


Update = Callable[[Batch, bool], dict[str, float]]


def _largest_loss_gap(ours: Update, theirs: Update, batches: list[Batch]) -> float:
    """Run both on the same batches; return the largest difference of their critic losses."""
    gaps = []
    for k, batch in enumerate(batches):
        losses = [update(batch, k % 2 == 1)["critic_loss"] for update in (ours, theirs)]
        gaps.append(abs(losses[0] - losses[1]))
    return max(gaps)


def _rate(update: Update, batches: list[Batch], updates: int) -> float:
    """Updates per second of processor time, which other processes do not affect."""
    started = time.process_time()
    for k in range(updates):
        update(batches[k % len(batches)], k % 2 == 1)
    return updates / (time.process_time() - started)


def make_contract(token: int) -> Contract:
    """Return a contract with the sizes of the simulated ethernet task."""
    proprio = VectorSpec(
        ("x", "y", "z", "yaw", "fx", "fy", "fz", "tz"),
        ("m", "m", "m", "rad", "N", "N", "N", "N m"),
        "tcp_wrench",
    )
    ones = np.ones(8, np.float32)
    normaliser = Normaliser(
        ones[:4], 0 * ones, ones, np.zeros(token, np.float32), np.ones(token, np.float32)
    )
    return Contract(
        "tiny", "", "", "", (CameraSpec("wrist", 64, 64),), proprio,
        ActionSpace((tool_yaw(),)), normaliser,
    )


def make_batch(contract: Contract, size: int, seed: int) -> Batch:
    """Random transitions of plausible scale; one in ten ends in success."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(size, *shape, generator=generator)

    chunk = (contract.chunk, contract.action.size)
    terminated = (torch.rand(size, generator=generator) < 0.1).float()
    rewards = torch.zeros(size, contract.chunk)
    rewards[:, -1] = terminated
    return Batch(
        x=normal(contract.state_size),
        reference=0.5 * normal(*chunk),
        actions=0.5 * normal(*chunk),
        rewards=rewards,
        valid=torch.full((size,), float(contract.chunk)),
        terminated=terminated,
        next_x=normal(contract.state_size),
        next_reference=0.5 * normal(*chunk),
    )


if __name__ == "__main__":
    sys.exit(main())
