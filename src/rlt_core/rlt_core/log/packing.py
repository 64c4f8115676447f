"""The arrays of a transition as bytes: one fixed little-endian record, without pickle."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.records import Transition

NUMBERS = struct.Struct("<9q")


def numbers_of(t: Transition) -> tuple[int, ...]:
    """The numbers of a commit, in the order in which a log stores them."""
    return (
        t.seq, int(t.commit), int(t.kind), t.episode, t.step, t.valid, int(t.terminated),
        int(t.outcome), t.policy_version,
    )


def crc32_of(numbers: Iterable[Any], arrays: bytes, before: int = 0) -> int:
    """CRC-32 of a commit.

    Args:
        numbers: As of `numbers_of`.
        arrays: Its packed arrays.
        before: Checksum of what precedes it; the result then covers this, too.

    Raises:
        struct.error: If the numbers are not nine integers of 64 bits.
        TypeError: If the arrays are not bytes.
    """
    return zlib.crc32(arrays, zlib.crc32(NUMBERS.pack(*numbers), before))


class Packing:
    """Packs the arrays of transitions; the contract fixes their sizes.

    Attributes:
        layout: Names, types and shapes in order, as JSON, for a reader without this code.
    """

    def __init__(self, contract: Contract) -> None:
        """Lay out the record.

        Args:
            contract: Sizes of state, chunk and planning delay.
        """
        self._lay_out(
            contract.token_size, contract.proprio.size,
            (contract.planning_delay_ticks, contract.chunk, contract.action.size),
        )

    @classmethod
    def of_layout(cls, layout: str) -> Packing:
        """The packing of records whose contract is not available.

        Args:
            layout: The `layout` of the packing that wrote them.

        Raises:
            ValueError: If it is not a layout of this version.
        """
        made = cls.__new__(cls)
        try:
            shapes = {name: tuple(shape) for name, _, shape in json.loads(layout)}
            (token,), (proprio,) = shapes["token"], shapes["proprio"]
            made._lay_out(token, proprio, (*shapes["committed"][:1], *shapes["reference"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the layout {layout!r} is not of this version") from error
        if json.loads(made.layout) != json.loads(layout):
            raise ValueError(f"the layout {layout!r} is not of this version")
        return made

    def _lay_out(self, token: int, proprio: int, sizes: Sequence[int]) -> None:
        """Define the record for sizes of token, proprioception, and (delay, chunk, axes)."""
        delay, length, axes = sizes
        committed, chunk = (delay, axes), (length, axes)
        fields: list[tuple[str, str, tuple[int, ...]]] = [
            ("token", "<f4", (token,)),
            ("proprio", "<f4", (proprio,)),
            ("committed", "<f4", committed),
            ("reference", "<f4", chunk),
            ("actions", "<f4", chunk),
            ("rewards", "<f4", chunk[:1]),
            ("next_token", "<f4", (token,)),
            ("next_proprio", "<f4", (proprio,)),
            ("next_committed", "<f4", committed),
            ("next_reference", "<f4", chunk),
            ("sources", "|u1", chunk[:1]),
            ("limited", "|b1", chunk[:1]),
        ]
        self.layout = json.dumps(fields)
        self._dtype = np.dtype(fields)
        self._shapes = {name: shape for name, _, shape in fields}
        self._empty = {
            name: np.zeros((0, *shape[1:]), kind) for name, kind, shape in fields
        }

    def pack(self, transition: Transition) -> bytes:
        """Return the arrays as bytes; b"" if all are empty, as at an episode's end.

        Raises:
            ValueError: If the shape of an array differs from the contract.
        """
        if not self.require(transition):
            return b""
        record = np.zeros((), self._dtype)
        for name in self._shapes:
            record[name] = getattr(transition, name)
        return record.tobytes()

    def require(self, transition: Transition) -> bool:
        """Check the shapes of a transition's arrays.

        Returns:
            Whether it has any values: at an episode's end all arrays are empty.

        Raises:
            ValueError: If the shape of an array differs from the contract.
        """
        arrays = {name: getattr(transition, name) for name in self._shapes}
        if not any(array.size for array in arrays.values()):
            return False
        for name, array in arrays.items():
            if array.shape != self._shapes[name]:
                raise ValueError(
                    f"`{name}` of transition {transition.key} has shape {array.shape}, the "
                    f"contract expects {self._shapes[name]}: start all nodes with the same model"
                )
        return True

    def checksum(self, t: Transition, before: int = 0) -> int:
        """CRC-32 of all numbers and arrays of a commit, as stored in a durable log.

        Args:
            t: The commit.
            before: Checksum of the preceding commits; the result then covers these, too.

        Raises:
            ValueError: If the shape of an array differs from the contract.
        """
        return crc32_of(numbers_of(t), self.pack(t), before)

    def unpack(self, data: bytes) -> Mapping[str, NDArray[Any]]:
        """Inverse of `pack`: read-only arrays by name.

        Raises:
            ValueError: If the number of bytes differs from the contract.
        """
        if not data:
            return self._empty
        if len(data) != self._dtype.itemsize:
            raise ValueError(f"{len(data)} bytes of arrays, expected {self._dtype.itemsize}")
        record = np.frombuffer(data, self._dtype)[0]
        return {name: record[name] for name in self._shapes}
