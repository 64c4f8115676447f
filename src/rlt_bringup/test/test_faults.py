"""The rows of the fault table: those with `ci` always, all of them with `-m faults`."""

from __future__ import annotations

from typing import Any

import pytest
from faults.bench import Bench
from faults.rows import Row
from faults.table import TABLE
from steady import MachineStalled


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    every = "faults" in metafunc.config.getoption("markexpr")
    chosen = [row for row in TABLE.values() if every or row.ci]
    names = [f"{row.number:02}-{row.name.replace('_', '-')}" for row in chosen]
    metafunc.parametrize("row", chosen, ids=names)


def attempt(row: Row, graph: Any) -> str:
    """Try a row once; return what was observed."""
    benches: list[Any] = []

    def make(kind: Any = Bench, **options: Any) -> Any:
        benches.append(kind(graph, **options))
        return benches[-1]

    try:
        return row.run(make)
    except AssertionError as error:
        stalls = [bench.stalled for bench in benches if bench.stalled]
        if stalls:
            raise MachineStalled(f"{stalls[0]}; and then: {error}") from error
        raise
    finally:
        for bench in benches:
            bench.close()
        graph.end()


@pytest.mark.faults
@pytest.mark.time_critical
@pytest.mark.timeout(1800)  # in the benchmark, row 30 kills fifty times
def test_fault(row, graph, record_property):
    record_property("observed", attempt(row, graph))
