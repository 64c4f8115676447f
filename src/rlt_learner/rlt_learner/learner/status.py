"""What the learner reports: its status, its health, and new faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rlt_core.rl.trainer import TrainerStatus
from rlt_interfaces.msg import LearnerStatus
from rlt_learner.learner.commit_requests import CommitRequests
from rlt_node.diagnostics import Health, Level


def learner_health(
    runs: Sequence[str], status: TrainerStatus, gaps: int, fault: str, learning: bool,
    capacity: int,
) -> Health:
    """Summarise a configured learner.

    Args:
        runs: Identifiers of the robots' runs.
        status: The trainer's last status, of all runs together.
        gaps: Commits that are known to exist and have not come.
        fault: What else is wrong, empty if nothing is.
        learning: Whether updates may run.
        capacity: Largest number of transitions in the replay buffer.
    """
    fault = status.fault or fault
    level = Level.ERROR if fault else Level.WARN if gaps or status.not_finite else Level.OK
    return Health(
        level,
        fault or ("learns" if learning else "paused or not active"),
        {
            "run": ", ".join(runs),
            "updates_per_second": status.updates_per_second,
            "ingested": status.received,
            "gaps": gaps,
            "duplicates_dropped": status.duplicates,
            "not_finite": status.not_finite,
            "updates_owed": status.updates_owed,
            "policy_version": status.policy_version,
            "replay_fill": status.replay_size / capacity,
        },
    )


def learner_status(
    run: str, digest: str, status: TrainerStatus, sequence: CommitRequests, learning: bool
) -> LearnerStatus:
    """The trainer's status as a message; `digest` is the contract's hash."""
    fields = dataclasses.asdict(status)
    del fields["not_finite"]
    fields["missing"] = max(sequence.known - status.received, 0)
    return LearnerStatus(run=run, contract_hash=digest, learning=learning, **fields)


def new_faults(status: TrainerStatus, before: TrainerStatus) -> list[str]:
    """The faults that are new between two statuses."""
    said = [status.fault] if status.fault and not before.fault else []
    if status.not_finite and not before.not_finite:  # the diagnostics show the count
        said.append(
            f"{status.not_finite} commits hold a number that is not finite and were left out of "
            "the replay buffer: check cameras and policy"
        )
    return said
