"""The log as an MCAP file: read back with Foxglove's library and rclpy, nothing differs."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from rclpy.serialization import deserialize_message

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.log.sqlite_log import StoredLog
from rlt_core.records import Commit, EpisodeKind, Outcome, Phase, Source
from rlt_core.settings import ScheduleSettings
from rlt_episodes.run_plan import EpisodesSettings
from rlt_episodes.run_record import RunRecord, first_facts
from rlt_interfaces import msg
from rlt_node.conversions import episode_from_msg, transition_from_msg
from rlt_node.graph import GraphSettings
from rlt_report.export import STATES, TRANSITIONS, export

TYPES = {TRANSITIONS: msg.Transition, STATES: msg.EpisodeState}
TICK = 20_000_000  # ns: 50 Hz
RESULTS = [
    EpisodeResult(1, EpisodeKind.BASE_EVAL, 7, Outcome.SUCCESS, 100, "auto", 0, 100, 0),
    EpisodeResult(2, EpisodeKind.WARMUP, 8, Outcome.SUCCESS, 50, "human", 0, 40, 0),
    EpisodeResult(3, EpisodeKind.TRAIN, 9, Outcome.SUCCESS, 30, "auto", 1, 30, 20),
]
STARTS = {1: 0, 2: 100, 3: 150, 4: 180}


@pytest.fixture
def run(tmp_path, contract, request):
    """Folder of a run that is still running: three episodes have ended, the log is still empty."""
    folder = tmp_path / "run"
    model = request.path.parents[3] / "models" / "ethernet"
    graph = GraphSettings(model=str(model), planning_delay_ticks=contract.planning_delay_ticks)
    facts = first_facts(
        "run", contract, graph=graph, episodes=EpisodesSettings(), schedule=ScheduleSettings()
    )
    RunRecord(folder, facts, print).write_episodes(item.to_dict() for item in RESULTS)
    return folder


def read(path):
    """Topic -> (message of the file, ROS message) in the order in which Foxglove plays them."""
    found = {topic: [] for topic in TYPES}
    with open(path, "rb") as file:
        for _, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            ros = deserialize_message(message.data, TYPES[channel.topic])
            found[channel.topic].append((message, ros))
    return found


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "rlt_report.export", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, **options,
    )


def same(a, b):
    return all(
        np.array_equal(np.asarray(x), np.asarray(y)) and np.asarray(x).dtype == np.asarray(y).dtype
        and np.shape(x) == np.shape(y)
        for x, y in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    )


def test_every_field_of_every_commit_comes_back_while_the_recorder_goes_on(
    run, contract, commits, write_log
):
    recorder = write_log(run, commits)
    assert export(run, run / "log.mcap") == len(commits)
    recorder.close()
    log = StoredLog(run / "log.sqlite").page(1, 9999)
    found = read(run / "log.mcap")[TRANSITIONS]
    assert [message.sequence for message, _ in found] == [t.seq for t in log]
    assert all(
        same(transition_from_msg(ros), t) for (_, ros), t in zip(found, log, strict=True)
    )
    for _, ros in found:
        assert ros.contract_hash == contract.hash()
        assert (ros.chunk, ros.delay) == (contract.chunk, contract.planning_delay_ticks)
        assert tuple(ros.axis_names) == contract.action.names
        assert tuple(ros.proprio_names) == contract.proprio.names


def test_times_are_ticks_and_a_correction_stands_where_the_log_has_it(run, commits, write_log):
    write_log(run, commits).close()
    export(run, run / "log.mcap")
    found = read(run / "log.mcap")[TRANSITIONS]
    for message, ros in found:
        assert message.publish_time == (STARTS[ros.episode] + ros.step) * TICK
    logged = [message.log_time for message, _ in found]
    assert logged == sorted(logged)
    late = [ros.seq for message, ros in found if message.log_time != message.publish_time]
    first = next(t.seq for _, t in found if t.commit == Commit.REVISION)
    assert late == [first, first + 1, first + 2]  # revision, tombstone, new end of episode 2
    assert logged[first - 1] == STARTS[4] * TICK


def test_episode_states_tell_how_episodes_began_handed_over_and_ended(run, commits, write_log):
    write_log(run, commits).close()
    export(run, run / "log.mcap")
    found = read(run / "log.mcap")[STATES]
    states = [episode_from_msg(ros) for _, ros in found]
    assert [(s.episode, s.phase, s.tick, s.critical, s.acting) for s in states] == [
        (1, Phase.RUNNING, 0, True, Source.BASE), (1, Phase.ENDED, 100, True, Source.BASE),
        (2, Phase.RUNNING, 100, False, Source.BASE), (2, Phase.RUNNING, 110, True, Source.BASE),
        (2, Phase.ENDED, 150, True, Source.BASE),
        (3, Phase.RUNNING, 150, True, Source.ACTOR), (3, Phase.ENDED, 180, True, Source.ACTOR),
    ]
    for (message, ros), state in zip(found, states, strict=True):
        assert message.log_time == state.tick * TICK
        assert ros.header.stamp.sec * 10**9 + ros.header.stamp.nanosec == message.log_time
        result = RESULTS[state.episode - 1]
        ended = state.phase is Phase.ENDED
        assert (state.run, state.kind, state.seed) == ("run", result.kind, result.seed)
        assert state.outcome is (result.outcome if ended else Outcome.NONE)
        assert state.label_source == (result.label_source if ended else "")


def test_the_file_tells_what_it_is(run, contract, commits, write_log):
    write_log(run, commits).close()
    export(run, run / "log.mcap")
    with open(run / "log.mcap", "rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        (facts,) = (record.metadata for record in reader.iter_metadata())
        attached = {record.name: record.data for record in reader.iter_attachments()}
        assert reader.get_header().profile == "ros2"
    assert facts["run"] == "run" and facts["contract_hash"] == contract.hash()
    assert json.loads(facts["axis_names"]) == list(contract.action.names)
    assert json.loads(facts["proprio_units"]) == list(contract.proprio.units)
    assert "no wall time" in facts["time"] and facts["finished"] == "false"
    assert attached == {
        name: (run / name).read_bytes() for name in ("run.json", "episodes.jsonl")
    }
    schemas = {schema.name: schema for schema in summary.schemas.values()}
    state = schemas["rlt_interfaces/msg/EpisodeState"].data.decode().split("=" * 80 + "\n")
    assert [part.splitlines()[0] for part in state[1:]] == [
        "MSG: std_msgs/Header", "MSG: builtin_interfaces/Time"
    ]
    assert "uint8 PHASE_FINISHED=4" in state[0] and "uint32 nanosec" in state[2]
    assert {channel.message_encoding for channel in summary.channels.values()} == {"cdr"}
    assert {schema.encoding for schema in schemas.values()} == {"ros2msg"}


def test_what_is_left_of_a_file_that_was_cut_off_can_be_read(run, commits, write_log):
    write_log(run, 8 * commits).close()
    export(run, run / "log.mcap")
    os.truncate(run / "log.mcap", int(0.7 * (run / "log.mcap").stat().st_size))
    seqs = []
    with open(run / "log.mcap", "rb") as file, pytest.raises(McapError):
        for record in StreamReader(file, validate_crcs=True).records:
            if isinstance(record, Message) and record.channel_id == 1:
                seqs.append(record.sequence)
    assert seqs == [*range(1, len(seqs) + 1)] and len(seqs) > 0.5 * 8 * len(commits)


@pytest.mark.parametrize("committed", [0, 5])
def test_the_log_of_a_recorder_that_was_killed(run, contract, commits, committed):
    """What it leaves beside the file, SQLite's journal, is read; a log may also be empty."""
    (run.parent / "contract.json").unlink(missing_ok=True)
    contract.save(run.parent / "contract.json")
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        import numpy as np
        from rlt_core.contract import Contract
        from rlt_core.log.sqlite_log import DurableLog
        from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase, Source
        from rlt_core.log.windows import episode_end
        contract = Contract.load(Path({str(run.parent / "contract.json")!r}))
        log = DurableLog(Path({str(run / "log.sqlite")!r}), "run", contract)
        for number in range(1, 1 + {committed}):
            log.commit(episode_end(EpisodeState(
                "run", number, EpisodeKind.WARMUP, Phase.ENDED, Source.BASE, False, 0, 9, 0, 9,
                Outcome.SUCCESS,
            ), 4))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert export(run, run / "log.mcap") == committed
    found = read(run / "log.mcap")
    assert [ros.seq for _, ros in found[TRANSITIONS]] == [*range(1, 1 + committed)]
    assert len(found[STATES]) == 7


# ---- Refused ----------------------------------------------------------------------------------


def test_the_command_refuses_in_one_sentence_and_leaves_no_file(run, commits, write_log, tmp_path):
    write_log(run, commits).close()
    shutil.copytree(run, tmp_path / "damaged")
    damaged = tmp_path / "damaged" / "log.sqlite"
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    shutil.copytree(run, tmp_path / "evaluation")
    (tmp_path / "evaluation" / "log.sqlite").unlink()
    output = tmp_path / "here" / "log.mcap"
    for folder, options, expected in (
        (tmp_path / "damaged", (), "log.sqlite is damaged"),
        (tmp_path / "evaluation", (), "log.sqlite is missing"),
        (tmp_path, (), "run.json is missing"),
        (run, ("--model", tmp_path), "name its folder with --model"),
        (run, ("--model", tmp_path.parent / "other"), "name its folder with --model"),
    ):
        done = command("--run", folder, "--output", output, *options)
        assert done.returncode == 1 and expected in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not output.exists()


def test_a_run_of_another_model_is_refused(run, contract, commits, write_log, tmp_path):
    write_log(run, commits).close()
    model = tmp_path / "model"
    model.mkdir()
    contract.replace(instruction="another").save(model / "contract.json")
    with pytest.raises(ValueError, match="is not the model that .* ran with .*name the right"):
        export(run, run / "log.mcap", model)


def test_an_existing_file_stays_unless_it_shall_go_and_the_new_one_is_whole(
    run, commits, write_log
):
    write_log(run, commits).close()
    output = run / "log.mcap"
    output.write_bytes(b"mine")
    done = command("--run", run)
    assert done.returncode == 1 and f"{output} exists" in done.stderr
    full = command(
        "--run", run, "--force",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )
    assert full.returncode == 1 and f"{output} cannot be written" in full.stderr.splitlines()[-1]
    assert output.read_bytes() == b"mine"
    assert not list(run.glob("*.part"))
    done = command("--run", run, "--force")
    assert (done.returncode, done.stdout) == (0, f"export: {len(commits)} commits in {output}\n")
    assert len(read(output)[TRANSITIONS]) == len(commits)


@pytest.mark.parametrize("name", ["export", "report"])
def test_the_commands_explain_themselves(name):
    done = subprocess.run(
        ["ros2", "run", "rlt_learner", name, "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {name}")
    assert ("no wall time" in done.stdout) == (name == "export")
