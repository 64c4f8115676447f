"""The log of transitions on disk: a commit that has returned survives a kill and a power cut.

One SQLite file per run, in WAL mode with `synchronous=FULL`: an incomplete database transaction
leaves no trace, so there is no torn tail to repair. Data that a disk loses although it had reported
it as written is counted when the file is opened. Any SQLite tool reads the file; the table `facts`
holds the layout of the column `arrays`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rlt_core.contract import Contract
from rlt_core.files import sync_folder
from rlt_core.log.packing import Packing, crc32_of, numbers_of
from rlt_core.log.sqlite_wal import torn_tail
from rlt_core.log.transition_log import numbered, require_page
from rlt_core.records import Commit, EpisodeKind, Outcome, Transition

LOG_FILE = "log.sqlite"
LOCK = ".lock"  # suffix of the file's name
WAL_PAGES = 100
APPLICATION = 0x524C5431  # "RLT1", the file's application_id
SCHEMA: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        'CREATE TABLE commits (seq INTEGER PRIMARY KEY, "commit" INTEGER NOT NULL, '
        "kind INTEGER NOT NULL, episode INTEGER NOT NULL, step INTEGER NOT NULL, "
        "valid INTEGER NOT NULL, terminated INTEGER NOT NULL, outcome INTEGER NOT NULL, "
        "policy_version INTEGER NOT NULL, crc32 INTEGER NOT NULL, arrays BLOB NOT NULL)",
    ),
)
"""Migration steps from each version to the next: a new file takes all of them, an old file the
rest. Never change a released step; add one."""

COLUMNS = 'seq, "commit", kind, episode, step, valid, terminated, outcome, policy_version'
INSERT = f"INSERT INTO commits ({COLUMNS}, crc32, arrays) VALUES ({', '.join('?' * 11)})"
SELECT = f"SELECT {COLUMNS}, crc32, arrays FROM commits WHERE seq >= ? ORDER BY seq LIMIT ?"


class StoredLog:
    """Read access to the log of a run, also while another process writes it.

    Attributes:
        run: Identifier of the run.
        contract_hash: Hash of its contract.
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing log for reading.

        Args:
            path: The file.

        Raises:
            ValueError: If the file is not a log, is damaged, or has a later version.
            OSError: If it cannot be opened.
        """
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._count = -1
        with self._opening():
            self._database = _connect(f"file:{quote(str(path))}?mode=ro")
            self._read()

    def __len__(self) -> int:
        """Number of commits, which is the highest seq; for a reader, as of its opening."""
        return self._count

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def page(self, first: int, count: int) -> list[Transition]:
        """Return up to `count` commits from seq `first` on, each verified.

        Raises:
            ValueError: If `first` is not a seq, `count` is negative, or the file is damaged.
        """
        require_page(first, count)
        try:
            rows = self._open().execute(SELECT, (first, count)).fetchall()
        except sqlite3.Error as error:
            raise ValueError(self._damaged(str(error))) from error
        return [self._transition(seq, row) for seq, row in enumerate(rows, start=first)]

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """Raise our own errors if a file cannot be opened, and close it then."""
        try:
            yield
        except sqlite3.OperationalError as error:
            self.close()
            raise OSError(f"{self.path} cannot be opened ({error}): check the disk") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise ValueError(self._damaged(str(error))) from error
        except Exception:
            self.close()
            raise

    def _read(self) -> None:
        """Read the facts, the layout and the number of commits."""
        if self._version() != len(SCHEMA):
            raise ValueError(f"{self.path} is not a transition log of this version")
        facts = dict(self._open().execute("SELECT name, value FROM facts").fetchall())
        missing = [name for name in ("run", "contract_hash", "layout") if name not in facts]
        if missing:
            raise ValueError(self._damaged(f"it lacks {', '.join(missing)}"))
        self.run, self.contract_hash = str(facts["run"]), str(facts["contract_hash"])
        try:
            self._packing = Packing.of_layout(facts["layout"])
        except ValueError as error:
            raise ValueError(self._damaged(str(error))) from error
        self._count = self._gapless_count()

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise ValueError(f"{self.path} is closed")
        return self._database

    def _transition(self, expected: int, row: tuple[Any, ...]) -> Transition:
        *numbers, crc, arrays = row
        try:
            sound = crc32_of(numbers, arrays) == crc
        except (struct.error, TypeError):  # a damaged column has another type
            sound = False
        if not sound or numbers[0] != expected:
            raise ValueError(self._damaged(f"commit {expected} does not match its checksum"))
        seq, commit, kind, episode, step, valid, terminated, outcome, version = numbers
        return Transition(
            run=self.run,
            episode=episode,
            step=step,
            seq=seq,
            commit=Commit(commit),
            kind=EpisodeKind(kind),
            valid=valid,
            terminated=bool(terminated),
            outcome=Outcome(outcome),
            policy_version=version,
            **self._packing.unpack(arrays),
        )

    def _version(self) -> int:
        """Version of the file's schema, 0 for a new file.

        Raises:
            ValueError: If another program or a later version wrote the file.
        """
        application, version = (
            int(self._open().execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("application_id", "user_version")
        )
        (tables,) = self._open().execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or version or tables):
            raise ValueError(f"{self.path} is not a transition log: name another output folder")
        if version > len(SCHEMA):
            raise ValueError(
                f"{self.path} has schema {version}, this version reads up to {len(SCHEMA)}: use "
                "the version that wrote it"
            )
        return version

    def _gapless_count(self) -> int:
        count, highest = (
            self._open().execute("SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM commits").fetchone()
        )
        if count != highest:
            raise ValueError(self._damaged(f"{count} commits up to seq {highest}"))
        return int(count)

    def _damaged(self, reason: str) -> str:
        return (
            f"{self.path} is damaged ({reason}): copy the file again from a backup, or start a "
            "new run in another output folder"
        )


class DurableLog(StoredLog):
    """Commits of one run, numbered gaplessly from 1, in one file with one writer.

    Attributes:
        run: Identifier of the run.
        path: The file.
        dropped: What followed the last valid commit when the file was opened.
    """

    def __init__(self, path: Path, run: str, contract: Contract) -> None:
        """Open the log of a run, or create it.

        Args:
            path: The file; its folder is created if missing.
            run: Identifier of the run.
            contract: The run's contract.

        Raises:
            ValueError: If the file is not a log, is damaged, has a later version, or belongs to
                another run or contract.
            OSError: If it cannot be opened, or another process writes it.
        """
        self.path = path
        self._lock, self._count = -1, -1
        self._database = None
        with self._opening():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
            self.dropped = torn_tail(path)
            self._database = _connect(f"file:{quote(str(path))}")
            facts = {"run": run, "contract_hash": contract.hash()}
            self._prepare(facts | {"layout": Packing(contract).layout})
            self._read()
            self._require(facts)

    def close(self) -> None:
        """Release the file for another process, as a kill does; remove an empty log."""
        super().close()
        if self._lock >= 0:
            if not self._count:
                for suffix in ("", "-wal", "-shm", LOCK):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def commit(self, transition: Transition) -> Transition:
        """Append a transition and return it with its seq, once it is on the disk.

        Raises:
            ValueError: If it belongs to another run or does not fit the contract.
            OSError: If the disk is full or fails; nothing is appended, and a retry is possible.
        """
        return self.commit_all([transition])[0]

    def commit_all(self, transitions: Iterable[Transition]) -> list[Transition]:
        """As `commit`, for several: all of them or none, with one wait for the disk."""
        committed = numbered(transitions, self.run, self._count + 1)
        rows = [self._row(transition) for transition in committed]
        database = self._open()
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(INSERT, rows)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise OSError(
                f"{self.path} cannot store a commit ({error}): free space on its disk"
            ) from error
        self._count += len(committed)
        return committed

    def _row(self, t: Transition) -> tuple[Any, ...]:
        arrays = self._packing.pack(t)
        numbers = numbers_of(t)
        return (*numbers, crc32_of(numbers, arrays), arrays)

    def _prepare(self, facts: dict[str, str]) -> None:
        """Migrate the file to this version's schema; a new file gets these facts."""
        database = self._open()
        version = self._version()
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        # A small WAL is soon overwritten in place: the disk need not record a growing file.
        database.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        if version == len(SCHEMA):
            return
        database.execute("BEGIN IMMEDIATE")
        for step in SCHEMA[version:]:
            for statement in step:
                database.execute(statement)
        if not version:
            database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {len(SCHEMA)}")
        database.execute("COMMIT")
        sync_folder(self.path.parent)

    def _require(self, expected: dict[str, str]) -> None:
        """Check that the log belongs to this run and contract."""
        found = {"run": self.run, "contract_hash": self.contract_hash}
        for name, value in expected.items():
            if found[name] != value:
                raise ValueError(
                    f"{self.path} is the log of {name} {found[name]!r}, expected {value!r}: "
                    "name another output folder, or use the model that the log was started with"
                )


def _connect(address: str) -> sqlite3.Connection:
    # Other threads may read (a service's callback); sqlite3 serialises them itself.
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def _lock(path: Path) -> int:
    """Become the only writer of a log, until the returned descriptor is closed.

    Raises:
        OSError: If another process writes the log; names that process.
    """
    # A separate file: closing any descriptor of the database would drop SQLite's own locks.
    descriptor = os.open(path.with_name(path.name + LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        raise OSError(
            f"{path} is written by another process ({holder}): stop that process, or name "
            "another output folder"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor
