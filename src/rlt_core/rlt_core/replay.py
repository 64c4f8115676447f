"""Replay: the fold of the transition log by key, held normalised in preallocated arrays."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.encoding import encode_state
from rlt_core.records import Commit, FloatArray, Transition

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Batch:
    """Transitions in network units; B is the batch.

    Attributes:
        x, next_x: float32 (B, X), states at both ends of the window.
        reference, next_reference: float32 (B, C, A).
        actions: float32 (B, C, A), what was executed.
        rewards: float32 (B, C), per tick; 0 past the window's true length.
        valid: float32 (B,), true length n of the window in ticks.
        terminated: float32 (B,), 1 where the episode truly ended in the window.
    """

    x: Tensor
    reference: Tensor
    actions: Tensor
    rewards: Tensor
    valid: Tensor
    terminated: Tensor
    next_x: Tensor
    next_reference: Tensor


class Replay:
    """The newest `capacity` live transitions, one per key.

    An insert or a revision sets the transition of its key, a tombstone removes it; when the
    capacity is reached, the oldest key goes. Live transitions always fill the first `len` slots,
    so that sampling is one draw of integers.
    """

    def __init__(self, contract: Contract, capacity: int) -> None:
        """Reserve memory, which the system hands out as it fills.

        Args:
            contract: Sizes and normaliser.
            capacity: Largest number of transitions.
        """
        self._contract = contract
        self._capacity = capacity
        self._slots: OrderedDict[Key, int] = OrderedDict()
        self._keys: list[Key] = []
        state = (contract.state_size,)
        chunk = (contract.chunk, contract.action.size)
        self._columns = {
            name: np.zeros((capacity, *shape), np.float32)
            for name, shape in (
                ("x", state),
                ("reference", chunk),
                ("actions", chunk),
                ("rewards", chunk[:1]),
                ("valid", ()),
                ("terminated", ()),
                ("next_x", state),
                ("next_reference", chunk),
            )
        }

    def __len__(self) -> int:
        """Number of live transitions."""
        return len(self._keys)

    def fold(self, transition: Transition) -> None:
        """Apply one commit of the log.

        Raises:
            ValueError: If the transition belongs to an episode that must not be trained on, or
                does not match the contract.
        """
        if not transition.kind.stored:
            raise ValueError(
                f"transition {transition.key} of a {transition.kind.name} episode must not enter "
                "replay: only WARMUP and TRAIN episodes may"
            )
        if transition.commit == Commit.TOMBSTONE:
            self._remove(transition.key)
        elif transition.commit in (Commit.INSERT, Commit.REVISION):
            row = self._normalise(transition)
            slot = self._slot_of(transition.key)
            for name, value in row.items():
                self._columns[name][slot] = value
        else:
            raise ValueError(f"a {transition.commit.name} commit is no transition of replay")

    def sample(self, batch: int, rng: np.random.Generator) -> Batch:
        """Draw transitions uniformly, with replacement.

        Raises:
            ValueError: If replay is empty.
        """
        if not self._keys:
            raise ValueError("replay is empty: record episodes before training")
        rows = rng.integers(len(self._keys), size=batch)
        return Batch(
            **{name: torch.from_numpy(column[rows]) for name, column in self._columns.items()}
        )

    def _normalise(self, t: Transition) -> dict[str, FloatArray | float]:
        """Turn a transition from SI into network units: the only place where the learner does."""
        scales = self._contract.normaliser
        shape = (self._contract.chunk, self._contract.action.size)
        names = ["reference", "actions"] + ([] if t.terminated else ["next_reference"])
        for name in names:
            if getattr(t, name).shape != shape:
                raise ValueError(
                    f"`{name}` of transition {t.key} has shape {getattr(t, name).shape}, the "
                    f"contract expects {shape}"
                )
        row: dict[str, FloatArray | float] = {
            "x": encode_state(self._contract, t.token, t.proprio, t.committed),
            "reference": scales.actions(t.reference),
            "actions": scales.actions(t.actions),
            "rewards": t.rewards,
            "valid": float(t.valid),
            "terminated": float(t.terminated),
            "next_x": 0.0,
            "next_reference": 0.0,
        }
        if not t.terminated:
            row["next_x"] = encode_state(
                self._contract, t.next_token, t.next_proprio, t.next_committed
            )
            row["next_reference"] = scales.actions(t.next_reference)
        return row

    def _slot_of(self, key: Key) -> int:
        """Return the key's slot, or a new one, evicting the oldest key when full."""
        if key in self._slots:
            return self._slots[key]
        if len(self._keys) == self._capacity:
            _, slot = self._slots.popitem(last=False)
            self._keys[slot] = key
        else:
            slot = len(self._keys)
            self._keys.append(key)
        self._slots[key] = slot
        return slot

    def _remove(self, key: Key) -> None:
        """Drop a key, moving the last slot into the hole; an unknown key is already gone."""
        hole = self._slots.pop(key, None)
        if hole is None:
            return
        moved = self._keys.pop()
        if moved != key:
            for column in self._columns.values():
                column[hole] = column[len(self._keys)]
            self._keys[hole] = moved
            self._slots[moved] = hole
