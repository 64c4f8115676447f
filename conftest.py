"""What holds for every test of the repository."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nobody_of_an_earlier_test_is_left() -> None:
    """A context that is shut down lives on in rclpy until nothing refers to it.

    Others of its domain would go on talking to it, and who begins the next test would have to find
    its way among all that are left.
    """
    if _participants():
        gc.collect()
    assert not _participants()


def _participants() -> int:
    """How many DDS participants live in this process: each has one thread for its events."""
    threads = Path("/proc/self/task").iterdir()
    return sum((thread / "comm").read_text().startswith("dds.ev") for thread in threads)
