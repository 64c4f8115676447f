"""A token that knows the simulator's state: an upper bound of what an RL token can tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from rlt_core.contract import Contract
from rlt_core.records import FloatArray
from rlt_core.vla.base import Prefix
from rlt_sim.world import World


class PrivilegedToken:
    """A stand-in for the RL token that knows the simulator's state: an upper bound, not a method.

    Its token is the pose of the plug relative to the socket.
    """

    def __init__(self, world: World) -> None:
        """Read the state of this world."""
        self._world = world

    def encode(self, prefix: Prefix) -> FloatArray:
        """Return the current offset as the token, float32 (1, 4); the prefix is not read."""
        return np.asarray(self._world.task_state().offset, np.float32)[None]


def privileged_token(world: World) -> Callable[[Contract], tuple[PrivilegedToken, Contract]]:
    """What `build_runner` takes as `token` for the simulator's state instead of the RL token."""

    def make(contract: Contract) -> tuple[PrivilegedToken, Contract]:
        scales = dataclasses.replace(
            contract.normaliser,
            token_mean=np.zeros(4, np.float32),
            token_std=np.array([0.002, 0.002, 0.005, 0.05], np.float32),
        )
        return PrivilegedToken(world), contract.replace(
            token_digest="privileged", normaliser=scales
        )

    return make
