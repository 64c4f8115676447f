"""What holds for every test of the repository."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nobody_of_an_earlier_test_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin each test without DDS participants of others.

    A context that is shut down lives on in rclpy until nothing refers to it. Who begins the next
    test would have to find its way among all that are left, and those would talk to it.
    """
    if _participants():
        gc.collect()
    yield
    if hasattr(request.node, "callspec"):
        for value in request.node.callspec.params.values():
            if isinstance(value, BaseException):  # it lives as long as the module, with its frames
                value.with_traceback(None)


def _participants() -> int:
    """How many DDS participants live in this process: each has one thread for its events."""
    threads = Path("/proc/self/task").iterdir()
    return sum((thread / "comm").read_text().startswith("dds.ev") for thread in threads)


def pytest_collection_finish() -> None:
    """Leave what the modules hold out of every later collection, which else takes long."""
    gc.collect()
    gc.freeze()
