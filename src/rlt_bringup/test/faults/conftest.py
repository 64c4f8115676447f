"""The marker of the fault table."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "faults: the fault table; -m faults runs all of its rows, not only those with ci"
    )
