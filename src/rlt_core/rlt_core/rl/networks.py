"""Actor and twin critic on (state, action chunk): RL Token paper, Eq. 3-5.

Everything here is in network units: actions divided by the contract's action scale, states
standardised. B is the batch, X the state width, C the chunk length, A the number of axes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from rlt_core.records import FloatArray


def _parameter(*shape: int, fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """Uniform in +-1/sqrt(fan_in), as `nn.Linear` does, but from an explicit generator."""
    bound = 1.0 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))


class Actor(nn.Module):
    """Mean of the chunk policy pi(a | x, reference), Eq. 4: the action itself, not a residual.

    The layer norm after the first layer keeps the contributions of state and reference on one
    scale. The output is linear and clamped, so it can copy a reference without distortion.
    """

    bound: Tensor

    def __init__(
        self,
        state_size: int,
        chunk: int,
        action_size: int,
        hidden: int,
        bound: FloatArray,
        generator: torch.Generator | None = None,
    ) -> None:
        """Create an actor with random weights.

        Args:
            state_size: Width X of the state.
            chunk: Length C of the chunk in ticks.
            action_size: Number A of axes.
            hidden: Width of both hidden layers.
            bound: float32 (A,), largest normalised action per axis; saved with the weights.
            generator: Source of the weights; one with a fixed seed if None.
        """
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        inputs, outputs = state_size + chunk * action_size, chunk * action_size
        self.register_buffer("bound", torch.from_numpy(np.array(bound, np.float32)))
        self.weight1 = _parameter(hidden, inputs, fan_in=inputs, generator=generator)
        self.bias1 = _parameter(hidden, fan_in=inputs, generator=generator)
        self.weight2 = _parameter(hidden, hidden, fan_in=hidden, generator=generator)
        self.bias2 = _parameter(hidden, fan_in=hidden, generator=generator)
        self.weight3 = _parameter(outputs, hidden, fan_in=hidden, generator=generator)
        self.bias3 = _parameter(outputs, fan_in=hidden, generator=generator)

    def unbounded(self, x: Tensor, reference: Tensor) -> Tensor:
        """Return the chunk before clamping.

        Where the clamp is active it passes no gradient. Losses that compare actions with the
        reference use this output, so that they always pull the actor back.

        Args:
            x: float32 (B, X).
            reference: float32 (B, C, A).

        Returns:
            float32 (B, C, A).
        """
        hidden = functional.linear(
            torch.cat((x, reference.flatten(1)), dim=1), self.weight1, self.bias1
        )
        hidden = functional.layer_norm(hidden, hidden.shape[1:]).relu_()
        hidden = functional.linear(hidden, self.weight2, self.bias2).relu_()
        return functional.linear(hidden, self.weight3, self.bias3).view_as(reference)

    def clamp(self, actions: Tensor) -> Tensor:
        """Limit normalised actions (..., A) to the bound."""
        return torch.clamp(actions, -self.bound, self.bound)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Return the mean chunk (B, C, A), within the bound; arguments as for `unbounded`."""
        return self.clamp(self.unbounded(x, reference))


class TwinCritic(nn.Module):
    """Two independent critics Q(x, a) with stacked weights: one call evaluates both.

    Layer norm in both hidden layers keeps the values from diverging where there is no data.
    """

    def __init__(
        self,
        state_size: int,
        chunk: int,
        action_size: int,
        hidden: int,
        generator: torch.Generator | None = None,
    ) -> None:
        """Create two critics with random weights; arguments as for `Actor`."""
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        inputs = state_size + chunk * action_size
        self.weight1 = _parameter(2, inputs, hidden, fan_in=inputs, generator=generator)
        self.bias1 = _parameter(2, 1, hidden, fan_in=inputs, generator=generator)
        self.weight2 = _parameter(2, hidden, hidden, fan_in=hidden, generator=generator)
        self.bias2 = _parameter(2, 1, hidden, fan_in=hidden, generator=generator)
        self.weight3 = _parameter(2, hidden, 1, fan_in=hidden, generator=generator)
        self.bias3 = _parameter(2, 1, 1, fan_in=hidden, generator=generator)

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        """Return both values, float32 (2, B), of states (B, X) and chunks (B, C, A)."""
        inputs = torch.cat((x, actions.flatten(1)), dim=1)
        hidden = torch.baddbmm(self.bias1, inputs.expand(2, *inputs.shape), self.weight1)
        hidden = functional.layer_norm(hidden, hidden.shape[2:]).relu_()
        hidden = torch.baddbmm(self.bias2, hidden, self.weight2)
        hidden = functional.layer_norm(hidden, hidden.shape[2:]).relu_()
        return torch.baddbmm(self.bias3, hidden, self.weight3).squeeze(2)
