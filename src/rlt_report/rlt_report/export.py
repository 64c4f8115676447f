"""A run's log as an MCAP file, which Foxglove opens.

`ros2 run rlt_learner export --run RUN` reads the run, even while it is running, and writes
`log.mcap` into its folder.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rlt_core.contract import Contract
from rlt_core.files import path_of, replacing
from rlt_core.log.sqlite_log import LOG_FILE, StoredLog
from rlt_core.log.transition_log import pages
from rlt_core.records import Transition as Record
from rlt_interfaces.msg import EpisodeState, Transition
from rlt_node.conversions import episode_to_msg, stamp_of_tick, transition_to_msg
from rlt_node.graph import GraphSettings
from rlt_report.mcap_file import Stamped, write_mcap
from rlt_report.run_folder import RunFolder, RunFolderError, read_run
from rlt_report.timeline import Timeline

OUTPUT = "log.mcap"
TRANSITIONS, STATES = "/rlt/transitions", "/rlt/episode_state"
TOPICS = {TRANSITIONS: Transition, STATES: EpisodeState}
ATTACHED = ("run.json", "episodes.jsonl")
TIME = (
    "The log holds no wall time. Times are robot time: executed ticks times the control period, "
    "counted from the first tick of the run, one episode right after the other, without resets; "
    "they therefore show as seconds after 1970. The publish time of a transition is that of the "
    "first tick of its window. Its log time is the same, but never before that of the "
    "previous commit, so that a late correction keeps its place in the log. Ticks in episode "
    "states are counted in the same way."
)


def export(run: Path, output: Path, model: Path | None = None, force: bool = False) -> int:
    """Write the log of a run as an MCAP file.

    Args:
        run: Output folder of the run.
        output: The file.
        model: Folder of the run's model, if it has moved.
        force: Whether to replace an existing file.

    Returns:
        Number of commits in the file.

    Raises:
        ValueError: If the run or its log is damaged, or the model is not the run's.
        OSError: If something cannot be read or written, or the file exists and `force` is false.
    """
    if output.exists() and not force:
        raise FileExistsError(f"{output} exists: name another --output, or replace it with --force")
    folder = read_run(run)
    if folder.log is None:
        raise RunFolderError(
            f"{run / LOG_FILE} is missing: the run has committed nothing, like an evaluation; "
            "name the folder of a training run"
        )
    contract = _contract(folder, model)
    log = StoredLog(run / LOG_FILE)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        progress = tqdm(
            total=folder.log.committed, desc="export", unit="commit", mininterval=2.0
        )
        with replacing(output) as stream, progress as bar:
            write_mcap(
                stream, TOPICS, _messages(folder, log, contract, bar), _facts(folder, contract),
                {name: (run / name).read_bytes() for name in ATTACHED},
            )
    except OSError as error:
        raise OSError(
            f"{output} cannot be written ({error}): make room, or name another --output"
        ) from error
    finally:
        log.close()
    return folder.log.committed


def main() -> int:
    """Command line of `ros2 run rlt_learner export`."""
    parser = argparse.ArgumentParser(
        prog="export",
        description="Write a run's log as an MCAP file, which Foxglove opens; the run may still be "
        f"running. Topics: {TRANSITIONS}, every commit of the log, and {STATES}, how the ended "
        "episodes began and ended.",
        epilog=f"{TIME} The file's metadata holds this text, too.",
    )
    parser.add_argument("--run", type=path_of, required=True, help="output folder of the run")
    parser.add_argument(
        "--output", type=path_of, help=f"the file (default: {OUTPUT} in that folder)"
    )
    parser.add_argument(
        "--model", type=path_of, help="folder of the run's model, if it has moved"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    arguments = parser.parse_args()
    output = arguments.output or arguments.run / OUTPUT
    try:
        commits = export(arguments.run, output, arguments.model, arguments.force)
    except (OSError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("export: interrupted, nothing was written", file=sys.stderr)
        return 130
    print(f"export: {commits} commits in {output}")
    return 0


def _contract(run: RunFolder, model: Path | None) -> Contract:
    """The contract of the run: names and units of what its arrays hold.

    Raises:
        RunFolderError: If it cannot be found.
    """
    folder = str(model or run.model)
    graph = GraphSettings(model=folder, planning_delay_ticks=run.planning_delay_ticks)
    try:
        contract = graph.contract()
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"the model of {run.path} cannot be read from {folder} ({error}): name its folder "
            "with --model"
        ) from error
    if contract.hash() != run.meta["contract_hash"]:
        raise RunFolderError(
            f"{folder} is not the model that {run.path} ran with (contract {contract.hash()}, "
            f"expected {run.meta['contract_hash']}): name the right folder with --model"
        )
    return contract


def _messages(
    run: RunFolder, log: StoredLog, contract: Contract, bar: tqdm[None]
) -> Iterator[Stamped]:
    """All messages in the order of their log time, read a page at a time."""
    timeline = Timeline(run)
    # Only commits that existed when the run was read: a running recorder appends more.
    commits = (item for page in pages(log, last=run.log.committed) for item in page)
    messages = heapq.merge(
        _states(timeline, contract), _transitions(commits, contract, timeline),
        key=lambda item: item.log_time,
    )
    for item in messages:
        yield item
        bar.update(item.topic == TRANSITIONS)


def _states(timeline: Timeline, contract: Contract) -> Iterator[Stamped]:
    for number, state in enumerate(timeline.states(), start=1):
        message, time = episode_to_msg(state), timeline.nanoseconds(state.tick)
        message.header.stamp = stamp_of_tick(state.tick, contract.rate_hz)
        yield Stamped(time, time, STATES, number, message)


def _transitions(
    commits: Iterable[Record], contract: Contract, timeline: Timeline
) -> Iterator[Stamped]:
    digest, newest = contract.hash(), 0
    for item in commits:
        time = timeline.nanoseconds(timeline.starts[item.episode] + item.step)
        newest = max(newest, time)
        message = transition_to_msg(item, contract, digest)
        yield Stamped(newest, time, TRANSITIONS, item.seq, message)


def _facts(run: RunFolder, contract: Contract) -> dict[str, str]:
    """The metadata of the file; lists are JSON."""
    facts: dict[str, Any] = {
        "run": run.meta["run"],
        "task": run.meta["task"],
        "finished": run.finished,
        "commits": run.log.committed,
        "contract_hash": contract.hash(),
        "instruction": contract.instruction,
        "rate_hz": contract.rate_hz,
        "chunk": contract.chunk,
        "stride": contract.stride,
        "planning_delay_ticks": contract.planning_delay_ticks,
        "axis_names": contract.action.names,
        "axis_units": contract.action.units,
        "proprio_names": contract.proprio.names,
        "proprio_units": contract.proprio.units,
        "versions": run.meta["versions"],
        "time": TIME,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in facts.items()
    }


if __name__ == "__main__":
    sys.exit(main())
