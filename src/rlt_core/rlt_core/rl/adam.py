"""Adam with torch's own kernel, without the imports of `torch.optim.Adam`.

The first `torch.optim.Optimizer` of a process imports torch's compiler, and with it sympy: five
seconds of CPU and 90 MB at every start of a learner, although nothing is compiled here. The update
itself is `torch.optim.adam.adam`, which is public and does not need these imports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)  # these and EPS are the defaults of torch and of the Adam paper
EPS = 1e-8


class Adam:
    """Adam with its default decay rates, in one fused kernel for all parameters."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float) -> None:
        """Start without momentum.

        Args:
            parameters: Tensors to optimise, float32.
            learning_rate: Step size.
        """
        self._parameters = list(parameters)
        self._learning_rate = learning_rate
        self._moments = {
            "step": [torch.zeros(()) for _ in self._parameters],
            "exp_avg": [torch.zeros_like(p, requires_grad=False) for p in self._parameters],
            "exp_avg_sq": [torch.zeros_like(p, requires_grad=False) for p in self._parameters],
        }

    def zero_grad(self) -> None:
        """Clear the gradients of the last update."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        rows = [row for row, p in enumerate(self._parameters) if p.grad is not None]
        moments = {name: [t[row] for row in rows] for name, t in self._moments.items()}
        moved = [self._parameters[row] for row in rows]
        adam(
            moved, [p.grad for p in moved if p.grad is not None],
            moments["exp_avg"], moments["exp_avg_sq"], [], moments["step"],
            fused=True, amsgrad=False, maximize=False, weight_decay=0.0, eps=EPS,
            lr=self._learning_rate, beta1=BETAS[0], beta2=BETAS[1],
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of all moments by "<index of the parameter>.<name>"."""
        return {
            f"{row}.{name}": tensor.clone()
            for name, tensors in self._moments.items()
            for row, tensor in enumerate(tensors)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue exactly from the state of `state_dict`.

        Raises:
            ValueError: If a tensor is missing or has another shape.
        """
        for name, tensors in self._moments.items():
            for row, tensor in enumerate(tensors):
                found = state.get(f"{row}.{name}")
                if found is None or found.shape != tensor.shape:
                    shape = "missing" if found is None else f"of shape {tuple(found.shape)}"
                    raise ValueError(
                        f"moment {name} of parameter {row} is {shape}, expected shape "
                        f"{tuple(tensor.shape)}"
                    )
                tensor.copy_(found)
