"""The chunk actor-critic: RL Token paper, Eq. 3 (critic) and Eq. 5 (actor), TD3 style.

Our choices where the paper gives no detail: the critic's targets are clamped to the return's range
[0, 1]; the actor maximises the smaller of the two critics, which errs towards the reference; the
target's next action comes from the current actor with clipped smoothing noise, without a target
actor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.records import FloatArray
from rlt_core.rl.adam import Adam
from rlt_core.rl.networks import Actor, TwinCritic
from rlt_core.rl.replay_buffer import Batch
from rlt_core.settings import AgentSettings


class Agent:
    """Actor, twin critics, target critics and their optimisers.

    All random numbers come from one generator, so a seed and a sequence of batches determine the
    weights. Run it with `torch.set_num_threads(1)`: its matrices are too small for several threads.
    """

    def __init__(
        self, contract: Contract, bound: FloatArray, settings: AgentSettings, seed: int
    ) -> None:
        """Create networks with random weights.

        Args:
            contract: Sizes of state and chunk.
            bound: float32 (A,), largest normalised action per axis.
            settings: Hyper-parameters.
            seed: Seed of weights, smoothing noise and reference dropout.
        """
        self.settings = settings
        self.generator = torch.Generator().manual_seed(seed)
        sizes = (contract.state_size, contract.chunk, contract.action.size, settings.hidden_dim)
        self.actor = Actor(*sizes, bound, self.generator)
        self.critic = TwinCritic(*sizes, self.generator)
        self.target = TwinCritic(*sizes)
        self.target.load_state_dict(self.critic.state_dict())
        self._actor_parameters: list[Tensor] = list(self.actor.parameters())
        self._critic_parameters: list[Tensor] = list(self.critic.parameters())
        self._target_parameters = [p.requires_grad_(False) for p in self.target.parameters()]
        # Fused Adam and one fused Polyak step: at these sizes the overhead of one operation per
        # parameter costs as much as the gradients.
        self._actor_optimiser = Adam(self._actor_parameters, settings.learning_rate)
        self._critic_optimiser = Adam(self._critic_parameters, settings.learning_rate)
        self._outputs = contract.chunk * contract.action.size
        self._discounts = settings.gamma ** torch.arange(contract.chunk, dtype=torch.float32)

    def imitate(self, batch: Batch) -> dict[str, float]:
        """One actor update towards the reference only: Eq. 5 without its Q term.

        Returns:
            `reference_distance`, as in `update_actor`.
        """
        chunk, shown = self._chunk_under_dropout(batch)
        distance = self._distance(chunk, batch)
        self._step_actor(distance.mean())
        return {"reference_distance": self._rms(distance, shown)}

    def update(self, batch: Batch, actor: bool) -> dict[str, float]:
        """One critic update and, if `actor`, one actor update.

        Returns:
            The metrics of `update_critic` and `update_actor`.
        """
        metrics = self.update_critic(batch)
        if actor:
            metrics |= self.update_actor(batch)
        return metrics

    def update_critic(self, batch: Batch) -> dict[str, float]:
        """One step on Eq. 3 for both critics, and one step of their targets.

        Returns:
            `critic_loss`, the squared TD error summed over both critics, and `q_mean`, the mean
            value of the sampled chunks.
        """
        target = self.td_target(batch)
        values = self.critic(batch.x, batch.actions)
        loss = (values - target).square().sum(0).mean()
        self._critic_optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._critic_optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                self._target_parameters, self._critic_parameters, self.settings.tau
            )
        return {"critic_loss": loss.item(), "q_mean": values.detach().mean().item()}

    def update_actor(self, batch: Batch) -> dict[str, float]:
        """One step on Eq. 5: -Q(x, a) + beta |a - reference|^2, summed over the chunk.

        The reference is hidden from the actor's input for a random part of the batch (reference
        dropout), never from the distance.

        Returns:
            `actor_loss` and `reference_distance`, the root mean square distance of actor and
            reference per tick and axis, in rows in which the actor saw the reference.
        """
        chunk, shown = self._chunk_under_dropout(batch)
        value = self.critic(batch.x, self.actor.clamp(chunk)).amin(0)
        distance = self._distance(chunk, batch)
        loss = (self.settings.beta_sum * distance - value).mean()
        self._step_actor(loss)
        return {"actor_loss": loss.item(), "reference_distance": self._rms(distance, shown)}

    @torch.no_grad()
    def td_target(self, batch: Batch) -> Tensor:
        """Return the target of Eq. 3 for windows of valid length n, float32 (B,).

        sum_t gamma^t r_t + gamma^n (1 - terminated) min Q'(x', a'), clamped to [0, 1].
        """
        noise = self._randn_like(batch.next_reference) * self.settings.target_policy_noise
        bound = self.settings.target_policy_noise_clip
        noise.clamp_(-bound, bound)
        next_actions = self.actor.clamp(
            self.actor.unbounded(batch.next_x, batch.next_reference) + noise
        )
        next_value = self.target(batch.next_x, next_actions).amin(0)
        discount = self.settings.gamma**batch.valid * (1.0 - batch.terminated)
        target: Tensor = batch.rewards @ self._discounts + discount * next_value
        return target.clamp_(0.0, 1.0)

    def actor_state(self) -> dict[str, Tensor]:
        """Return a copy of the actor's weights and bound, which the policy needs to act."""
        return {name: tensor.clone() for name, tensor in self.actor.state_dict().items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Return networks, optimisers and generator as one flat dictionary of tensors."""
        tensors = {"generator": self.generator.get_state()}
        for part, module in self._modules().items():
            tensors |= {f"{part}.{name}": t.clone() for name, t in module.state_dict().items()}
        for part, optimiser in self._optimisers().items():
            tensors |= {f"{part}.{name}": t for name, t in optimiser.state_dict().items()}
        return tensors

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue exactly from the state of `state_dict`.

        Raises:
            ValueError: If a tensor is missing or has another shape.
        """
        try:
            for part, module in self._modules().items():
                module.load_state_dict(_below(tensors, part))
            for part, optimiser in self._optimisers().items():
                optimiser.load_state_dict(_below(tensors, part))
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint does not fit this agent: {error}; load it with the model and "
                "settings it was trained with"
            ) from error
        self.generator.set_state(tensors["generator"])

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"actor": self.actor, "critic": self.critic, "target": self.target}

    def _optimisers(self) -> dict[str, Adam]:
        return {
            "actor_optimiser": self._actor_optimiser,
            "critic_optimiser": self._critic_optimiser,
        }

    def _randn_like(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator)

    def _chunk_under_dropout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the unbounded chunk (B, C, A), and 1 where the reference was shown, (B,)."""
        draw = torch.rand(len(batch.reference), generator=self.generator)
        shown = (draw >= self.settings.reference_dropout).float()
        return self.actor.unbounded(batch.x, batch.reference * shown[:, None, None]), shown

    @staticmethod
    def _distance(chunk: Tensor, batch: Batch) -> Tensor:
        """Squared distance to the reference, summed over chunk and axes, float32 (B,)."""
        return (chunk - batch.reference).square().sum((1, 2))

    def _rms(self, distance: Tensor, shown: Tensor) -> float:
        """Root mean square per tick and axis over the rows that were shown; 0 without any."""
        mean = distance.detach() @ shown / shown.sum().clamp(min=1.0)
        return math.sqrt(mean.item() / self._outputs)

    def _step_actor(self, loss: Tensor) -> None:
        self._actor_optimiser.zero_grad()
        # Gradients for the actor only: those of the critic's weights would double the cost.
        torch.autograd.backward(loss, inputs=self._actor_parameters)
        self._actor_optimiser.step()


def _below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the entries under `part.`, without the prefix."""
    head = part + "."
    return {key[len(head) :]: t for key, t in tensors.items() if key.startswith(head)}
