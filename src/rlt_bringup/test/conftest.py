"""Fixtures of complete graphs, and the marker of the fault table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphs import Graph, Watcher


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "faults: the fault table; -m faults runs all of its rows, not only those with ci"
    )


@pytest.fixture
def graph(domain: int, tmp_path: Path) -> Iterator[Graph]:
    """A graph whose processes end with the test."""
    made = Graph(domain, tmp_path)
    yield made
    made.end()


@pytest.fixture
def watcher(domain: int) -> Iterator[Watcher]:
    made = Watcher(domain)
    yield made
    made.close()
