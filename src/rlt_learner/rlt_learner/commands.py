"""Commands about runs and models that other packages hold, since not every computer has those.

A robot's computer installs neither the simulated tasks nor the reports.
"""

from __future__ import annotations

import importlib
import sys

MODULES = {
    "pretrain": "rlt_sim.pretrain.pretrain",
    "benchmark": "rlt_sim.benchmark",
    "report": "rlt_report.report",
    "export": "rlt_report.export",
}
"""Where the `main` of each command is."""


def pretrain() -> int | None:
    """Make the base policy and RL token of a simulated task."""
    return _run("pretrain")


def benchmark() -> int | None:
    """Compare the method with its bounds on a simulated task."""
    return _run("benchmark")


def report() -> int | None:
    """Write the report of a run."""
    return _run("report")


def export() -> int | None:
    """Write a run's log as an MCAP file."""
    return _run("export")


def _run(command: str) -> int | None:
    package = MODULES[command].partition(".")[0]
    try:
        main = importlib.import_module(MODULES[command]).main
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        print(
            f"{command}: error: package {package}, which contains this command, is not installed "
            f"here: build it with `colcon build --packages-up-to {package}`",
            file=sys.stderr,
        )
        return 1
    code: int | None = main()
    return code
