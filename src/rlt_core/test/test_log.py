"""The transition log, in memory and on disk: gapless, paged, durable, checked."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlt_core.log import sqlite_log
from rlt_core.log.packing import Packing
from rlt_core.log.sqlite_log import DurableLog, StoredLog
from rlt_core.log.sqlite_wal import Dropped
from rlt_core.log.transition_log import TransitionLog, pages
from rlt_core.records import Commit, Transition


@pytest.fixture(scope="module")
def transitions(toy):
    """Everything that a run of two episodes commits, including an episode's end."""
    runner = toy.runner(contract=toy.contract(planning_delay_ticks=1))
    results = runner.run()
    next(results), next(results)
    return runner.log.page(1, len(runner.log))


@pytest.fixture
def contract(toy):
    return toy.contract(planning_delay_ticks=1)


@pytest.fixture(params=["memory", "disk"])
def log(request, tmp_path, contract):
    if request.param == "memory":
        return TransitionLog("toy")
    return DurableLog(tmp_path / "run" / "log.sqlite", "toy", contract)


def same(a: Transition, b: Transition) -> bool:
    return all(
        np.array_equal(np.asarray(left), np.asarray(right))
        and np.asarray(left).dtype == np.asarray(right).dtype
        and np.asarray(left).shape == np.asarray(right).shape
        for left, right in (
            (getattr(a, item.name), getattr(b, item.name))
            for item in dataclasses.fields(Transition)
        )
    )


def test_every_commit_gets_the_next_seq(log, transitions):
    committed = [log.commit(transition) for transition in transitions[:3]]
    committed += log.commit_all(transitions[3:5])
    assert [t.seq for t in committed] == [1, 2, 3, 4, 5] and len(log) == 5


def test_pages_cover_the_log_and_end_with_it(log, transitions):
    log.commit_all(transitions[:5])
    assert [t.seq for t in log.page(2, 3)] == [2, 3, 4]
    assert [t.seq for t in log.page(4, 99)] == [4, 5]
    assert log.page(6, 1) == [] and log.page(1, 0) == []
    assert [t.seq for page in pages(log, 3) for t in page] == [3, 4, 5]
    assert [t.seq for page in pages(log, 2, last=4) for t in page] == [2, 3, 4]
    assert list(pages(log, last=0)) == []


@pytest.mark.parametrize(("first", "count"), [(0, 1), (-3, 1), (1, -1)])
def test_an_impossible_page_is_refused(log, first, count):
    with pytest.raises(ValueError, match="seq counts from 1"):
        log.page(first, count)


def test_another_runs_transition_is_refused_and_nothing_is_appended(log, transitions):
    stranger = dataclasses.replace(transitions[1], run="other")
    with pytest.raises(ValueError, match="run 'other' does not belong in the log of run 'toy'"):
        log.commit_all([transitions[0], stranger])
    assert len(log) == 0


# ---- On disk ----------------------------------------------------------------------------------


def test_what_was_committed_comes_back_bit_for_bit_after_reopening(tmp_path, contract, transitions):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:-1])
    log.close()
    log = DurableLog(path, "toy", contract)
    assert log.commit(transitions[-1]).seq == len(transitions) == len(log)
    assert any(t.commit == Commit.EPISODE_END for t in transitions)
    assert all(same(a, b) for a, b in zip(log.page(1, 9999), transitions, strict=True))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_packing_keeps_every_bit(toy, transitions, data):
    packing = Packing(toy.contract(planning_delay_ticks=1))
    t = next(t for t in transitions if t.commit == Commit.INSERT)
    numbers = data.draw(st.lists(st.floats(width=32), min_size=8, max_size=8))
    t = dataclasses.replace(t, actions=np.array(numbers, np.float32).reshape(4, 2))
    unpacked = packing.unpack(packing.pack(t))
    assert unpacked["actions"].tobytes() == t.actions.tobytes()
    assert same(dataclasses.replace(t, **unpacked), t) or np.isnan(numbers).any()


def test_an_array_of_another_size_is_named(tmp_path, contract, transitions):
    log = DurableLog(tmp_path / "log.sqlite", "toy", contract)
    wrong = dataclasses.replace(transitions[0], token=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"`token` .* has shape \(3,\), the contract expects \(2,"):
        log.commit(wrong)
    assert len(log) == 0


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path, contract, transitions):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:2])
    with pytest.raises(OSError, match=f"written by another process .process {os.getpid()} on"):
        DurableLog(path, "toy", contract)
    reader = StoredLog(path)
    assert (reader.run, reader.contract_hash) == ("toy", contract.hash())
    assert len(reader.page(1, 99)) == 2
    log.close()
    assert len(DurableLog(path, "toy", contract)) == 2


def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(
    tmp_path, contract, transitions
):
    """SIGKILL between and during commits: all printed commits are there, complete and in order."""
    program = textwrap.dedent(
        f"""
        import pickle, sys
        from pathlib import Path
        from rlt_core.log.sqlite_log import DurableLog, StoredLog
        contract, transitions = pickle.load(open({str(tmp_path / "input")!r}, "rb"))
        log = DurableLog(Path({str(tmp_path / "log.sqlite")!r}), "toy", contract)
        while True:
            print(log.commit(transitions[len(log) % len(transitions)]).seq, flush=True)
        """
    )
    (tmp_path / "input").write_bytes(pickle.dumps((contract, transitions)))
    acknowledged = 0
    for lines in (1, 2, 7, 23):
        writer = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        )
        for _ in range(lines):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = int((["", *writer.stdout.read().split()])[-1] or acknowledged)
        assert writer.wait() == -signal.SIGKILL
        log = DurableLog(tmp_path / "log.sqlite", "toy", contract)
        found = log.page(1, 99999)
        assert len(found) >= acknowledged and [t.seq for t in found] == [*range(1, len(log) + 1)]
        for t in found:
            original = transitions[(t.seq - 1) % len(transitions)]
            assert same(t, dataclasses.replace(original, seq=t.seq))
        log.close()


def test_a_full_disk_takes_nothing_and_goes_on_when_there_is_room(tmp_path, contract, transitions):
    log = DurableLog(tmp_path / "log.sqlite", "toy", contract)
    log.commit(transitions[0])
    (limit,) = log._open().execute("PRAGMA max_page_count").fetchone()
    log._open().execute("PRAGMA max_page_count = 1")
    with pytest.raises(OSError, match="log.sqlite cannot store a commit .*full.*free space"):
        log.commit_all(transitions[1:])
    assert len(log) == 1 and len(log.page(1, 99)) == 1
    log._open().execute(f"PRAGMA max_page_count = {limit}")
    assert log.commit_all(transitions[1:])[-1].seq == len(transitions) == len(log)


def test_a_flipped_bit_is_found(tmp_path, contract, transitions):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:9])
    log._open().execute("UPDATE commits SET arrays = zeroblob(length(arrays)) WHERE seq = 7")
    with pytest.raises(ValueError, match="log.sqlite is damaged .commit 7 does not match its"):
        log.page(5, 9)
    log._open().execute("UPDATE commits SET episode = 'x' WHERE seq = 3")
    with pytest.raises(ValueError, match="commit 3 does not match its checksum"):
        log.page(3, 1)
    assert [t.seq for t in log.page(4, 3)] == [4, 5, 6]


def test_a_hole_is_found(tmp_path, contract, transitions):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:4])
    log._open().execute("DELETE FROM commits WHERE seq = 2")
    log.close()
    with pytest.raises(ValueError, match="damaged .3 commits up to seq 4"):
        DurableLog(path, "toy", contract)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path, contract, transitions, share):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions)
    log.close()
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(ValueError, match="log.sqlite is damaged"):
        list(pages(DurableLog(path, "toy", contract)))


@pytest.mark.parametrize(
    "change",
    [
        ("UPDATE facts SET value = '[]' WHERE name = 'layout'", "layout '.*' is not of this"),
        ("UPDATE facts SET value = replace(value, '<f4', '<f8')", "layout '.*' is not of this"),
        ("UPDATE facts SET value = replace(value, 'limited', 'l')", "layout '.*' is not of this"),
        ("DELETE FROM facts WHERE name = 'layout'", "it lacks layout"),
    ],
)
def test_a_reader_refuses_a_layout_that_it_does_not_know(tmp_path, contract, transitions, change):
    statement, message = change
    log = DurableLog(tmp_path / "log.sqlite", "toy", contract)
    log.commit_all(transitions[:2])
    log._open().execute(statement)
    log.close()
    with pytest.raises(ValueError, match=message):
        StoredLog(tmp_path / "log.sqlite")


def test_a_reader_needs_no_contract_and_a_name_with_marks_is_no_harm(
    tmp_path, contract, transitions
):
    path = tmp_path / "a?b#c %41" / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions)
    reader = StoredLog(path)
    assert all(same(a, b) for a, b in zip(reader.page(1, 9999), transitions, strict=True))


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_file_that_is_no_log_is_refused_and_never_unpickled(tmp_path, contract):
    path = tmp_path / "log.sqlite"
    path.write_bytes(pickle.dumps(Canary(tmp_path / "canary")) * 200)
    with pytest.raises(ValueError, match="log.sqlite is damaged .file is not a database"):
        DurableLog(path, "toy", contract)
    assert not (tmp_path / "canary").exists()


def test_another_programs_database_is_refused_and_left_alone(tmp_path, contract):
    path = tmp_path / "log.sqlite"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE mine (x)")
    with pytest.raises(ValueError, match="is not a transition log"):
        DurableLog(path, "toy", contract)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_an_empty_log_leaves_nothing_behind(tmp_path, contract):
    DurableLog(tmp_path / "log.sqlite", "toy", contract).close()
    assert not list(tmp_path.iterdir())


def test_the_log_of_another_run_or_contract_is_refused(tmp_path, toy, contract, transitions):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit(transitions[0])
    log.close()
    with pytest.raises(ValueError, match="is the log of run 'toy', expected 'other'"):
        DurableLog(path, "other", contract)
    other = toy.contract(planning_delay_ticks=0)
    with pytest.raises(ValueError, match=f"'{contract.hash()}', expected '{other.hash()}'"):
        DurableLog(path, "toy", other)


def test_a_later_versions_file_is_refused_and_an_earlier_one_brought_up(
    tmp_path, contract, transitions, monkeypatch
):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:3])
    log.close()
    step = ("ALTER TABLE commits ADD COLUMN note TEXT NOT NULL DEFAULT ''",)
    monkeypatch.setattr(sqlite_log, "SCHEMA", (*sqlite_log.SCHEMA, step))
    log = DurableLog(path, "toy", contract)
    assert [t.seq for t in log.page(1, 9)] == [1, 2, 3]
    assert log._open().execute("SELECT note FROM commits").fetchall() == [("",)] * 3
    log.close()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has schema 2, this version reads up to 1"):
        DurableLog(path, "toy", contract)


# ---- A torn tail ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crashed(toy, transitions, tmp_path_factory):
    """The files of a log of 30 commits after a power cut; its WAL was restarted in between."""
    folder = tmp_path_factory.mktemp("crashed")
    log = DurableLog(folder / "log.sqlite", "toy", toy.contract(planning_delay_ticks=1))
    for transition in transitions[:20]:
        log.commit(transition)
    log._open().execute("PRAGMA wal_checkpoint(RESTART)")  # older frames stay behind the new ones
    for transition in transitions[20:30]:
        log.commit(transition)
    files = {name: (folder / name).read_bytes() for name in ("log.sqlite", "log.sqlite-wal")}
    log.close()
    return files


def laid_out(files, folder, wal):
    """Write the crashed files to a folder, with this write-ahead log."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in (files | {"log.sqlite-wal": wal}).items():
        (folder / name).write_bytes(data)
    return folder / "log.sqlite"


def new_frames(wal):
    """Size of a frame, and the offsets of the frames with the salts of the header."""
    size = 24 + int.from_bytes(wal[8:12], "big")
    return size, [at for at in range(32, len(wal), size) if wal[at + 8 : at + 16] == wal[16:24]]


def test_frames_of_before_the_file_was_begun_anew_are_no_torn_tail(
    crashed, tmp_path, contract, transitions
):
    wal = crashed["log.sqlite-wal"]
    size, new = new_frames(wal)
    assert 32 + size * len(new) < len(wal), "no older frames: this test proves nothing"
    log = DurableLog(laid_out(crashed, tmp_path, wal), "toy", contract)
    assert len(log) == 30 and log.dropped == Dropped(0, 0)
    assert log.commit(transitions[30]).seq == 31
    log.close()
    assert DurableLog(log.path, "toy", contract).dropped == Dropped(0, 0)


@pytest.mark.parametrize("harm", ["cut", "flip", "zeros"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_of_a_torn_tail_a_valid_prefix_is_kept_and_the_rest_is_counted(
    crashed, tmp_path, contract, transitions, harm, data
):
    whole = crashed["log.sqlite-wal"]
    at = data.draw(st.integers(0, len(whole) - 1))
    wal = bytearray(whole)
    if harm == "cut":
        del wal[at:]
    elif harm == "flip":
        wal[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        wal[at : at + 512] = bytes(len(wal[at : at + 512]))
    log = DurableLog(laid_out(crashed, tmp_path / "run", bytes(wal)), "toy", contract)
    found = log.page(1, 999)
    assert 20 <= len(found) == len(log) <= 30, "the earlier content of the database stays"
    for seq, transition in enumerate(found, start=1):
        assert same(transition, dataclasses.replace(transitions[seq - 1], seq=seq))
    assert log.dropped.transactions <= 30 - len(log)
    last_salts = range(new_frames(whole)[1][-1] + 8, new_frames(whole)[1][-1] + 16)
    if harm == "flip" and len(log) < 30 and at not in last_salts:  # makes it an older frame
        assert log.dropped.bytes > 0, "commits were lost without a report"
    if len(log) == 30:
        assert log.dropped.transactions == 0
    assert log.commit(transitions[len(log)]).seq == len(found) + 1
    log.close()


def test_commits_that_a_disk_lost_are_counted_where_their_traces_are_left(
    crashed, tmp_path, contract
):
    wal = bytearray(crashed["log.sqlite-wal"])
    size, new = new_frames(wal)
    wal[new[0] + 100] ^= 1  # in the page of the first frame
    log = DurableLog(laid_out(crashed, tmp_path, bytes(wal)), "toy", contract)
    assert len(log) == 20 and log.dropped == Dropped(len(new) * size, 10)
    log.close()


def test_a_commit_that_was_cut_short_is_dropped_and_none_is_said_to_be_lost(
    crashed, tmp_path, contract
):
    wal = crashed["log.sqlite-wal"]
    size, new = new_frames(wal)
    log = DurableLog(laid_out(crashed, tmp_path, wal[: new[-1] + 1000]), "toy", contract)
    assert len(log) == 29 and log.dropped.transactions == 0
    assert log.dropped.bytes % size == 1000
    log.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path, contract, transitions, monkeypatch
):
    path = tmp_path / "log.sqlite"
    log = DurableLog(path, "toy", contract)
    log.commit_all(transitions[:3])
    log.close()
    step = ("ALTER TABLE commits ADD COLUMN note TEXT", "CREATE TABLE commits (again)")
    monkeypatch.setattr(sqlite_log, "SCHEMA", (*sqlite_log.SCHEMA, step))
    with pytest.raises(OSError, match="cannot be opened .table commits already exists"):
        DurableLog(path, "toy", contract)
    monkeypatch.undo()
    log = DurableLog(path, "toy", contract)
    assert [t.seq for t in log.page(1, 9)] == [1, 2, 3]
