"""What the recorder reports: its health, and losses at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rlt_core.log.sqlite_log import DurableLog
from rlt_core.log.sqlite_wal import Dropped
from rlt_core.log.transition_log import Log
from rlt_interfaces.msg import RecorderStatus
from rlt_learner.recorder.commit_queue import CommitQueue
from rlt_node.diagnostics import Health, Level

MEBIBYTE = 1 << 20
REPEAT_SECONDS = 2.0


class Losses:
    """Logs how many windows are not recorded, and why, whenever there are more."""

    def __init__(self, logger: Any) -> None:
        """Begin with none.

        Args:
            logger: The recorder's; it logs at most every REPEAT_SECONDS.
        """
        self._logger = logger
        self._told = (0, 0)

    def report(self, not_finite: int, missed: int) -> None:
        """Log what is new.

        Args:
            not_finite: Windows that hold a number that is not finite.
            missed: Windows of which a record never came.
        """
        told, self._told = self._told, (not_finite, missed)
        if not_finite > told[0]:
            self._logger.error(
                f"{not_finite} windows hold a number that is not finite and were dropped: check "
                "cameras and policy", throttle_duration_sec=REPEAT_SECONDS,
            )
        if missed > told[1]:
            self._logger.error(
                f"{missed} windows could not be made, since features or control steps never came: "
                "check for a lost camera, a recorder that stopped for longer than the history of "
                "their topics, or a machine too slow for the rate",
                throttle_duration_sec=REPEAT_SECONDS,
            )


def recorder_health(
    status: RecorderStatus, commits: CommitQueue, folder: Path | None, dropped: int, missed: int
) -> Health:
    """Summarise a recorder whose log is open.

    Args:
        status: Its status.
        commits: The bookkeeping of its log.
        folder: Folder of the log, None in memory.
        dropped: Messages that did not fit the contract.
        missed: Windows of which a record never came.
    """
    values: dict[str, object] = {
        "run": status.run,
        "committed": len(commits.log),
        "published": status.published,
        "waiting": commits.waiting,
        "human": commits.human,
        "not_finite": commits.not_finite,
        "dropped": dropped,
        "missed": missed,
    }
    if folder is not None:
        values["disk_free_mib"] = shutil.disk_usage(folder).free // MEBIBYTE
    less = commits.not_finite or dropped or missed
    level = Level.ERROR if commits.fault else Level.WARN if less else Level.OK
    return Health(level, commits.fault or "records", values)


def report_opening(log: Log, logger: Any) -> None:
    """Log where a log resumes, and what it has lost to a power cut or a failing disk.

    Args:
        log: The log, just opened.
        logger: Logs lost commits as an error.
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
        logger.info(f"the log of run {log.run!r} continues after commit {len(log)}")
