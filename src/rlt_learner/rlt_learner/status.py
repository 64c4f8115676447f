"""What recorder and learner tell: status, health, and what somebody should know at once."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlt_core.durable_log import DurableLog
from rlt_core.log import Log
from rlt_core.wal import Dropped
from rlt_interfaces.msg import LearnerStatus, RecorderStatus
from rlt_learner.intake import Intake
from rlt_learner.ledger import Ledger
from rlt_node.diagnostics import Health, Level

if TYPE_CHECKING:  # it brings PyTorch, with which the recorder has nothing to do
    from rlt_core.trainer import TrainerStatus

MEBIBYTE = 1 << 20
REPEAT_SECONDS = 2.0


class Losses:
    """Says how many windows are not recorded, and why, whenever there are more."""

    def __init__(self, logger: Any) -> None:
        """Begin with none.

        Args:
            logger: The recorder's; it is not told more often than every REPEAT_SECONDS.
        """
        self._logger = logger
        self._told = (0, 0)

    def tell(self, refused: int, missed: int) -> None:
        """Say what is new.

        Args:
            refused: Windows that hold a number that is not finite.
            missed: Windows of which a record never came.
        """
        told, self._told = self._told, (refused, missed)
        if refused > told[0]:
            self._logger.error(
                f"{refused} windows hold a number that is not finite and were dropped: check "
                "cameras and policy", throttle_duration_sec=REPEAT_SECONDS,
            )
        if missed > told[1]:
            self._logger.error(
                f"{missed} windows could not be made, since features or control steps never came: "
                "was a camera away, did the recorder stand still for longer than their topics "
                "remember, or is the machine too slow for the rate?",
                throttle_duration_sec=REPEAT_SECONDS,
            )


def recorder_health(
    status: RecorderStatus, ledger: Ledger, folder: Path | None, dropped: int, missed: int
) -> Health:
    """Summarise a recorder whose log is open.

    Args:
        status: What it tells.
        ledger: The bookkeeping of its log.
        folder: Folder of the log, None in memory.
        dropped: Messages that did not fit the contract.
        missed: Windows of which a record never came.
    """
    values: dict[str, object] = {
        "run": status.run,
        "committed": len(ledger.log),
        "published": status.published,
        "waiting": ledger.waiting,
        "human": ledger.human,
        "not_finite": ledger.refused,
        "dropped": dropped,
        "missed": missed,
    }
    if folder is not None:
        values["disk_free_mib"] = shutil.disk_usage(folder).free // MEBIBYTE
    less = ledger.refused or dropped or missed
    level = Level.ERROR if ledger.trouble else Level.WARN if less else Level.OK
    return Health(level, ledger.trouble or "records", values)


def opening_news(log: Log, logger: Any) -> None:
    """Say where a log goes on, and what it has lost to a power cut or a failing disk.

    Args:
        log: The log, just opened.
        logger: Told of commits that are lost as an error.
    """
    dropped = log.dropped if isinstance(log, DurableLog) else Dropped()
    if dropped.transactions:
        logger.error(
            f"at least {dropped.transactions} commits of run {log.run!r} are lost: "
            f"{dropped.bytes} bytes at the end of its log do not verify and were dropped; check "
            "the disk"
        )
    elif dropped.bytes:
        logger.info(
            f"{dropped.bytes} bytes of an unfinished commit at the end of the log were dropped"
        )
    if len(log):
        logger.info(f"the log of run {log.run!r} goes on after commit {len(log)}")


def learner_health(
    runs: Sequence[str], status: TrainerStatus, gaps: int, trouble: str, learning: bool,
    capacity: int,
) -> Health:
    """Summarise a configured learner.

    Args:
        runs: Identifiers of the robots' runs.
        status: What the trainer said last, of all runs together.
        gaps: Commits that are known to exist and have not come.
        trouble: What else is wrong, empty if nothing is.
        learning: Whether updates may run.
        capacity: Largest number of transitions in replay.
    """
    problem = status.trouble or trouble
    level = Level.ERROR if problem else Level.WARN if gaps or status.refused else Level.OK
    return Health(
        level,
        problem or ("learns" if learning else "paused or not active"),
        {
            "run": ", ".join(runs),
            "updates_per_second": status.updates_per_second,
            "ingested": status.received,
            "gaps": gaps,
            "duplicates_dropped": status.duplicates,
            "not_finite": status.refused,
            "updates_owed": status.updates_owed,
            "policy_version": status.policy_version,
            "replay_fill": status.replay_size / capacity,
        },
    )


def learner_status(
    run: str, digest: str, status: TrainerStatus, intake: Intake, learning: bool
) -> LearnerStatus:
    """The trainer's status as a message; `digest` is the contract's hash."""
    fields = dataclasses.asdict(status)
    del fields["refused"]
    fields["missing"] = max(intake.known - status.received, 0)
    return LearnerStatus(run=run, contract_hash=digest, learning=learning, **fields)


def news(status: TrainerStatus, before: TrainerStatus) -> list[str]:
    """What has gone wrong between two statuses."""
    said = [status.trouble] if status.trouble and not before.trouble else []
    if status.refused and not before.refused:  # the count goes on in the diagnostics
        said.append(
            f"{status.refused} commits hold a number that is not finite and were left out of "
            "replay: check cameras and policy"
        )
    return said
