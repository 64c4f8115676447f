"""The table of faults: number, fault, what is expected, and the function that tries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Make = Callable[..., Any]
Run = Callable[[Make], str]


@dataclass(frozen=True)
class Row:
    """One fault of the list.

    Attributes:
        number: Its number in the list.
        fault: What goes wrong.
        expected: What must happen.
        kind: Class of fault; the normal suite runs at least one of each.
        name: Name of the function that tries it.
        run: Takes a factory of benches, by default with a robot; returns a short sentence on what
            was observed.
        ci: Whether the normal suite runs it.
    """

    number: int
    fault: str
    expected: str
    kind: str
    name: str
    run: Run
    ci: bool


ROWS: dict[int, Row] = {}


def row(
    number: int, fault: str, expected: str, kind: str, *, ci: bool = False
) -> Callable[[Run], Run]:
    """Add a function to the table."""

    def enter(run: Run) -> Run:
        assert number not in ROWS
        ROWS[number] = Row(number, fault, expected, kind, run.__name__, run, ci)
        return run

    return enter
