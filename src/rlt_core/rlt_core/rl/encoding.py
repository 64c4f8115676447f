"""From SI records to the inputs of the actor-critic: the only place that normalises states.

The policy and the replay buffer build their states with this module, so they cannot differ.
"""

from __future__ import annotations

import numpy as np

from rlt_core.contract import Contract
from rlt_core.records import FloatArray


def encode_state(
    contract: Contract, token: FloatArray, proprio: FloatArray, committed: FloatArray
) -> FloatArray:
    """Return the actor-critic's state x = (z, proprioception, committed actions), normalised.

    Args:
        contract: Carries normaliser and sizes.
        token: float32 (..., Z), raw RL token.
        proprio: float32 (..., P), SI.
        committed: float32 (..., d, A), SI increments already committed when x was observed.

    Returns:
        float32 (..., X) with X = Z + P + d A.

    Raises:
        ValueError: If a size does not match the contract.
    """
    scales = contract.normaliser
    rows = token.shape[:-1]
    increments = scales.actions(committed).reshape(*rows, committed.shape[-2] * committed.shape[-1])
    state = np.concatenate((scales.token(token), scales.proprio(proprio), increments), axis=-1)
    if state.shape != (*rows, contract.state_size):
        raise ValueError(
            f"state of token {token.shape}, proprioception {proprio.shape} and committed actions "
            f"{committed.shape} has {state.shape[-1]} elements, the contract expects "
            f"{contract.state_size}: use features of the same model"
        )
    return state
