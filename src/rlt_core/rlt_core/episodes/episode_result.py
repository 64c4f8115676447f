"""The result of an episode, as stored in a run's `episodes.jsonl`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlt_core.records import EpisodeKind, Outcome


@dataclass(frozen=True)
class EpisodeResult:
    """The result of one episode.

    Attributes:
        episode: Number in the run, from 1.
        kind: Kind of the episode.
        seed: Seed of the episode.
        outcome: How it ended; NONE if it was discarded.
        steps: Executed control ticks, including the approach and the holds: these are robot time,
            too.
        label_source: Who or what judged: "human", "auto", "time_limit", "abort" or "discard";
            "fault": a latched hold, or the controller never drove, so that the time limit
            truncated; "held": the robot held for as long as a time limit; "interrupted": the
            process ended during the episode.
        interventions: Number of takeovers.
        critical_steps: Executed control ticks of the critical phase.
        human_ticks: Executed control ticks that a person decided, including blending.
        held_ticks: Executed control ticks in which the robot held; 0 in lockstep.
    """

    episode: int
    kind: EpisodeKind
    seed: int
    outcome: Outcome
    steps: int
    label_source: str
    interventions: int
    critical_steps: int
    human_ticks: int
    held_ticks: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: kind and outcome by their lower-case names."""
        return {
            **dataclasses.asdict(self),
            "kind": self.kind.name.lower(),
            "outcome": self.outcome.name.lower(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpisodeResult:
        """Inverse of `to_dict`; other keys are ignored.

        Records of versions without approach, takeover and held ticks lack `critical_steps`,
        `human_ticks` and `held_ticks`: their complete episodes were critical, no person acted in
        them, and they did not count holds.

        Raises:
            ValueError: If a field is missing or invalid; names it.
        """
        older = {"critical_steps": values.get("steps"), "human_ticks": 0, "held_ticks": 0}
        values = {**older, **values}
        names = [item.name for item in dataclasses.fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"episode result lacks {', '.join(missing)}")
        plain = {name: values[name] for name in names}
        try:
            plain["kind"] = EpisodeKind[str(plain["kind"]).upper()]
            plain["outcome"] = Outcome[str(plain["outcome"]).upper()]
        except KeyError as error:
            raise ValueError(
                f"episode result: {error.args[0]!r} is not a kind or outcome"
            ) from error
        return cls(**plain)
