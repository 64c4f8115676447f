"""The fault table: every row is run on real processes, and written to docs/reliability.md.

Runs the rows of `testing/faults` one after the other, about ten seconds each and some
minutes for row 30, prints the table and writes it to docs/reliability.md. Exits with 1 if a row
failed.

    python benchmarks/faults.py
    python benchmarks/faults.py 13 14      # only these; the page keeps the others' results
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as Xml
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "src" / "rlt_bringup" / "test" / "test_faults.py"
PAGE = ROOT / "docs" / "reliability.md"
FAILED = "**open**: "
KILLS = 50  # of the learner, in row 30

TEXT = """<!-- Written by benchmarks/faults.py; do not edit. -->
# Reliability: the faults that a run survives

A robot that learns can be trusted only if every fault ends safely. For each fault: the robot never
receives a set-point that is not finite or outside its limits; where it must hold, it stands still
within 100 ms; one message says what is wrong, where, and what to do; and nothing moves again before
the condition that the table states. Nothing here is a rated safety function: keep the emergency
stop.

## How a row is judged

Each row starts real nodes as processes and injects the fault: real signals, real topics. The
robot is a node that follows set-points 50 times a second, stops by itself 100 ms after the last
one, and logs every set-point with the time of its receipt. The row passes only if

1. every set-point is finite, inside the workspace, velocity and acceleration limits of
   `config/robots/sim.yaml`, and appears in `control_step`: what was recorded is what was sent;
2. a hold begins within the fault's detection time plus 100 ms, and from 100 ms after its first
   tick on no set-point differs from the one before it;
3. exactly one line of level ERROR is logged over all processes, and it names what the row requires
   (node, topic, element, value, limit); where nothing has to be fixed (6, 18, 28) there is none,
   a person's buttons (26, 27) are answered with warnings, where two nodes lose their input at once
   (19) each logs it once, and where a node is restarted (21) what it logs at its start is not
   judged;
4. no tick of the policy is executed between the hold and the condition that ends it, and ticks of
   the policy are executed after it;
5. there are never more commands than control periods: nothing is caught up in a burst.

In the rows 29, 33, 35, 40 and 41 the robot runs while something other than its input fails: the
rules above apply there too, and where messages are larger than any machine processes in time (41) a
hold until the ticks are on time again is allowed. Row 44 starts complete launches of the simulated
robot, and compares what the first one records with a run alone. The other rows from 30 to 42 have
no robot: a bench publishes the records of seeded episodes, 400 ticks a second, for a real recorder
and a real learner. Such a row passes only if

1. the log holds exactly what was published, compared as sets by key and bit by bit: nothing lost,
   nothing doubled, nothing altered, and its numbers have no gap (36: a prefix of it);
2. where the learner goes on, it has taken in each commit once, and its checkpoint is, bit by bit,
   that of an undisturbed learner in this process;
3. one line of level ERROR, or the last line of a node that ends with exit code 1, says what the row
   requires; where nothing has to be fixed (29, 37, 38) there is none.

Row 30 kills {kills} times, in the normal suite twice. Row 35 fills a real disk, a tmpfs of 4 MiB,
where this user may mount one; elsewhere the process may no longer grow a file.

Rows may have been run at different times: each shows its newest result. Where the machine itself
kept the bench from running in time, nothing can be judged and the row is run again.

## The table

{table}

Try it: `source env.sh && python benchmarks/faults.py` (all rows, about twenty minutes, writes this
page). The tests marked * are part of the normal suite. `python benchmarks/mutations.py` shows that
each safety check is needed: it deletes them one by one until a test fails.
"""


@dataclass(frozen=True)
class Tried:
    """The result of a row: its sentence, and the test's name."""

    observed: str
    test: str
    passed: bool


def main() -> int:
    """Run the rows; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="*", help="numbers of the rows; none: all")
    wanted = parser.parse_args().rows
    rows = _rows()
    unknown = sorted(set(wanted) - set(rows))
    if unknown:
        parser.error(f"unknown row(s) {unknown}; there are {min(rows)} to {max(rows)}")
    tried = _try(wanted)
    lines = {number: _line(rows[number], tried[number]) for number in sorted(tried)}
    print(_table(lines))
    page = _lines_of_the_page() | lines
    if set(page) == set(rows):
        PAGE.write_text(TEXT.format(table=_table(page), kills=KILLS), encoding="utf-8")
        print(f"written to {PAGE.relative_to(ROOT)}")
    failed = [number for number, result in sorted(tried.items()) if not result.passed]
    print(f"{len(tried) - len(failed)} of {len(tried)} rows passed; open: {failed or 'none'}")
    return int(bool(failed) or not tried)


def _rows() -> Mapping[int, Any]:
    """The table of the tests."""
    sys.path.insert(0, str(ROOT / "testing"))
    from faults.table import TABLE

    return TABLE


def _try(wanted: list[int]) -> dict[int, Tried]:
    """Run the rows' tests; by number."""
    selection = ["-k", " or ".join(f"{number:02}-" for number in wanted)] if wanted else []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", str(TESTS), "-m", "faults", "-n", "0", "-v",
             f"--junitxml={result}", *selection],
            cwd=ROOT, env=os.environ | {"RLT_FAULT_KILLS": str(KILLS)},
        )
        cases = Xml.parse(result).iter("testcase")
        return dict(_read(case) for case in cases if len(case))  # empty: one that is run again


def _read(case: Xml.Element) -> tuple[int, Tried]:
    test = case.attrib["name"]
    number = int(test.partition("[")[2].partition("-")[0])
    failure = next((child for child in case if child.tag in ("failure", "error")), None)
    if failure is not None:
        return number, Tried(FAILED + failure.attrib["message"].splitlines()[0], test, False)
    seen = [item.attrib["value"] for item in case.iter("property")]
    return number, Tried(seen[0], test, True)


def _line(row: Any, result: Tried) -> str:
    """A row as the table shows it."""
    name = f"`{result.test}`" + ("*" if row.ci else "")
    cells = (str(row.number), row.fault, row.expected, result.observed, name)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _lines_of_the_page() -> dict[int, str]:
    """The rows that the page shows already, by number."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return {int(line.split()[1]): line for line in text.splitlines() if line[2:3].isdigit()}


def _table(lines: Mapping[int, str]) -> str:
    head = ["| # | fault | expected | observed | test |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(head + [lines[number] for number in sorted(lines)])


if __name__ == "__main__":
    sys.exit(main())
