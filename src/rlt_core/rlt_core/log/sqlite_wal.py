"""Detects what SQLite drops of a torn write-ahead log: it silently keeps the valid part.

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log. A restarted file gets new
salts and is overwritten in place: frames with older salts behind them are no longer needed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

SUFFIX = "-wal"
HEADER = struct.Struct(">8I")  # magic, version, page size, sequence, two salts, two checksums
FRAME = struct.Struct(">6I")  # page, 0 unless it ends a transaction, two salts, two checksums
MAGIC = 0x377F0682  # the last bit: whether checksums are of big-endian words


@dataclass(frozen=True)
class Dropped:
    """What follows the last valid database transaction.

    Attributes:
        bytes: Number of bytes: one transaction that was being written, or more.
        transactions: Minimum number of them that had been written completely, and are lost.
    """

    bytes: int = 0
    transactions: int = 0


def torn_tail(database: Path) -> Dropped:
    """What SQLite will drop when it opens a database that is not open elsewhere.

    Raises:
        OSError: If the write-ahead log cannot be read.
    """
    path = database.with_name(database.name + SUFFIX)
    data = path.read_bytes() if path.is_file() else b""
    if len(data) < HEADER.size:
        return Dropped(len(data))
    magic, _, page_bytes, _, *salts, first, second = HEADER.unpack_from(data)
    order = ">" if magic & 1 else "<"
    checksum = _checksum((0, 0), data[: HEADER.size - 8], order)
    if magic & ~1 != MAGIC or checksum != (first, second):
        return Dropped(len(data))  # with an invalid header the frames cannot be found
    frame_bytes, verifies = FRAME.size + page_bytes, True
    # The last frame of a transaction holds the database's size, unless that field is damaged.
    pages = database.stat().st_size // page_bytes if database.is_file() else 0
    sizes = range(max(pages, 1), pages + len(data) // frame_bytes + 1)
    kept = end = HEADER.size
    transactions = 0
    for start in range(HEADER.size, len(data), frame_bytes):
        frame = data[start : start + frame_bytes]
        if len(frame) < frame_bytes:  # only new frames make the file longer
            end = len(data)
            break
        _, ends, *found, first, second = FRAME.unpack_from(frame)
        if found != salts:
            verifies = False
            continue
        if verifies:
            checksum = _checksum(checksum, frame[:8], order)
            checksum = _checksum(checksum, frame[FRAME.size :], order)
            verifies = checksum == (first, second)
        end = start + frame_bytes
        if ends and verifies:
            kept = end
        transactions += ends in sizes and not verifies
    return Dropped(end - kept, transactions)


def _checksum(before: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's checksum, continued over data that consists of pairs of words."""
    a, b = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for left, right in zip(words[::2], words[1::2], strict=True):
        a = (a + left + b) & 0xFFFFFFFF
        b = (b + right + a) & 0xFFFFFFFF
    return a, b
