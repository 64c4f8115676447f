"""Why an input is rejected or the robot holds: a short code, and one sentence for people."""

from __future__ import annotations

from dataclasses import dataclass

HELD_FOR_THE_EPISODE = ("jump", "state", "leader")
"""Codes of faults after which the robot holds until the next episode."""
TRIP = "trip"
"""Code of the hold that follows from too many rejected chunks."""
UNJUDGED = frozenset((*HELD_FOR_THE_EPISODE, TRIP))
"""Codes of faults after which the policy acts no more in an episode: nobody judges it by time."""


@dataclass(frozen=True)
class Rejection:
    """Why an input was rejected.

    Attributes:
        code: Short name for counters and diagnostics, e.g. "nonfinite", "late" or "jump".
        message: One sentence: what came, what was expected, what to do.
    """

    code: str
    message: str
