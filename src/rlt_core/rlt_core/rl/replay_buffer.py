"""The replay buffer: the log reduced by key, stored normalised in preallocated arrays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.records import Commit, FloatArray, Transition
from rlt_core.rl.encoding import encode_state

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Batch:
    """Transitions in network units; B is the batch.

    Attributes:
        x, next_x: float32 (B, X), states at both ends of the window.
        reference, next_reference: float32 (B, C, A).
        actions: float32 (B, C, A), what was executed.
        rewards: float32 (B, C), per tick; 0 past the window's valid length.
        valid: float32 (B,), valid length n of the window in ticks.
        terminated: float32 (B,), 1 where the episode terminated in the window.
    """

    x: Tensor
    reference: Tensor
    actions: Tensor
    rewards: Tensor
    valid: Tensor
    terminated: Tensor
    next_x: Tensor
    next_reference: Tensor


class ReplayBuffer:
    """The newest `capacity` live transitions, one per key.

    An insert or a revision sets the transition of its key, a tombstone removes it; when the
    capacity is reached, the oldest key is removed. Live transitions always fill the first `len`
    slots, so that sampling is one draw of integers.
    """

    def __init__(self, contract: Contract, capacity: int) -> None:
        """Reserve memory; the system allocates it as the buffer fills.

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
        ends = {
            "token": (contract.token_size,),
            "proprio": (contract.proprio.size,),
            "committed": (contract.planning_delay_ticks, contract.action.size),
            "reference": chunk,
        }
        self._shapes: dict[str, tuple[int, ...]] = {
            **ends,
            **{f"next_{name}": shape for name, shape in ends.items()},
            "actions": chunk,
            "rewards": chunk[:1],
        }
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

    def fold(self, transition: Transition) -> int:
        """Apply one commit of the log; see `fold_all`."""
        return self.fold_all([transition])

    def fold_all(self, transitions: Sequence[Transition]) -> int:
        """Apply commits of the log in order; a large batch costs far less per commit.

        Returns:
            How many were left out because they contain a value that is not finite.

        Raises:
            ValueError: If a transition belongs to an episode that must not be trained on, or does
                not match the contract; nothing is applied.
        """
        for transition in transitions:
            self._require_foldable(transition)
        windows = [t for t in transitions if t.commit != Commit.TOMBSTONE]
        arrays = self._stacked(windows)
        finite = np.ones(len(windows), np.bool_)
        for rows in arrays.values():
            finite &= np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
        columns = self._normalised({name: rows[finite] for name, rows in arrays.items()})
        sound = iter(finite)
        # Slots first, in order: a later commit of the same slot then overwrites the earlier one.
        slots: list[int] = []
        for transition in transitions:
            if transition.commit == Commit.TOMBSTONE:
                self._write(slots, columns)
                columns = {name: rows[len(slots) :] for name, rows in columns.items()}
                slots = []
                self._remove(transition.key)
            elif next(sound):
                slots.append(self._slot_of(transition.key))
        self._write(slots, columns)
        return len(windows) - int(finite.sum())

    def forget(self, run: str) -> None:
        """Remove all transitions of a run."""
        for key in [key for key in self._keys if key[0] == run]:
            self._remove(key)

    def sample(self, batch: int, rng: np.random.Generator) -> Batch:
        """Draw transitions uniformly, with replacement.

        Raises:
            ValueError: If the replay buffer is empty.
        """
        if not self._keys:
            raise ValueError("the replay buffer is empty: record episodes before training")
        rows = rng.integers(len(self._keys), size=batch)
        return Batch(
            **{name: torch.from_numpy(column[rows]) for name, column in self._columns.items()}
        )

    def _write(self, slots: list[int], columns: Mapping[str, FloatArray]) -> None:
        """Write the first rows of the columns into these slots."""
        for name, rows in columns.items():
            self._columns[name][slots] = rows[: len(slots)]

    def _require_foldable(self, t: Transition) -> None:
        if not t.kind.stored:
            raise ValueError(
                f"transition {t.key} of a {t.kind.name} episode must not enter the replay buffer: "
                "only WARMUP and TRAIN episodes may"
            )
        if t.commit not in (Commit.INSERT, Commit.REVISION, Commit.TOMBSTONE):
            raise ValueError(f"a {t.commit.name} commit is not a transition of the replay buffer")
        for name, shape in self._shapes.items():
            needed = not (t.terminated and name.startswith("next_"))
            if needed and getattr(t, name).shape != shape:
                raise ValueError(
                    f"`{name}` of transition {t.key} has shape {getattr(t, name).shape}, the "
                    f"contract expects {shape}"
                )

    def _stacked(self, windows: Sequence[Transition]) -> dict[str, FloatArray]:
        """The arrays of all windows in SI, one row each; x' and ã' are 0 after termination."""
        arrays: dict[str, FloatArray] = {
            name: np.zeros((len(windows), *shape), np.float32)
            for name, shape in self._shapes.items()
        }
        for row, t in enumerate(windows):
            for name, rows in arrays.items():
                if not (t.terminated and name.startswith("next_")):
                    rows[row] = getattr(t, name)
        arrays["valid"] = np.array([t.valid for t in windows], np.float32)
        arrays["terminated"] = np.array([t.terminated for t in windows], np.float32)
        return arrays

    def _normalised(self, si: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Rows in network units: the only place where the learner normalises."""
        contract, scales = self._contract, self._contract.normaliser
        follows = (1.0 - si["terminated"])[:, None]  # a normaliser maps 0 to another value
        return {
            "x": encode_state(contract, si["token"], si["proprio"], si["committed"]),
            "reference": scales.actions(si["reference"]),
            "actions": scales.actions(si["actions"]),
            "rewards": si["rewards"],
            "valid": si["valid"],
            "terminated": si["terminated"],
            "next_x": follows
            * encode_state(contract, si["next_token"], si["next_proprio"], si["next_committed"]),
            "next_reference": scales.actions(si["next_reference"]),
        }

    def _slot_of(self, key: Key) -> int:
        """Return the key's slot, or a new one; evicts the oldest key if the buffer is full."""
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
        """Remove a key and move the last slot into the hole; ignores an unknown key."""
        hole = self._slots.pop(key, None)
        if hole is None:
            return
        moved = self._keys.pop()
        if moved != key:
            for column in self._columns.values():
                column[hole] = column[len(self._keys)]
            self._keys[hole] = moved
            self._slots[moved] = hole
