"""Sums over a run's log, which the report compares with what the nodes reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.log.sqlite_log import LOG_FILE, StoredLog
from rlt_core.log.transition_log import pages
from rlt_core.records import Commit, EpisodeKind, Outcome, Source, Transition


@dataclass
class LogSummary:
    """Sums over the commits of a log.

    Attributes:
        run: Identifier of the run.
        contract_hash: Hash of its contract.
        commits: Number of commits by type.
        kinds: Inserted windows by the kind of their episode.
        sources: Inserted windows in which a source decided at least one tick, by source.
        human: Inserted windows in which a person decided at least one tick, blending included.
        outcomes: Outcome of each closed episode, corrections included.
        lengths: Ticks of each episode, as far as its commits reach.
    """

    run: str
    contract_hash: str
    commits: Counter[Commit] = field(default_factory=Counter)
    kinds: Counter[EpisodeKind] = field(default_factory=Counter)
    sources: Counter[Source] = field(default_factory=Counter)
    human: int = 0
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)

    @property
    def committed(self) -> int:
        """Number of commits."""
        return self.commits.total()

    def add(self, t: Transition) -> None:
        """Count a commit."""
        self.commits[t.commit] += 1
        self.lengths[t.episode] = max(self.lengths.get(t.episode, 0), t.step + t.valid)
        if t.commit is Commit.EPISODE_END:
            self.outcomes[t.episode] = t.outcome
        elif t.commit is Commit.INSERT:
            self.kinds[t.kind] += 1
            self.sources.update(map(Source, set(t.sources[: t.valid].tolist())))
            self.human += t.decided_by_person


def read_log(path: Path) -> LogSummary:
    """Sum up a log, a page at a time; every commit is checked.

    Raises:
        ValueError: If it is damaged, not a log, or of a later version.
        OSError: If it cannot be opened.
    """
    log = StoredLog(path)
    try:
        summary = LogSummary(log.run, log.contract_hash)
        for page in pages(log, last=len(log)):
            for transition in page:
                summary.add(transition)
        return summary
    finally:
        log.close()


def disagreements(
    log: LogSummary | None, told: Mapping[str, int], episodes: Iterable[EpisodeResult]
) -> list[str]:
    """Where a run's log differs from what its nodes reported.

    Args:
        log: The log; None if there is none.
        told: Counts of transitions in run.json; empty until the run has ended.
        episodes: The ended episodes in episodes.jsonl.

    Returns:
        One sentence each.
    """
    if log is None:
        commits = told.get("committed", 0)
        return [f"{LOG_FILE} is missing, run.json reports {commits} commits"] * bool(commits)
    found = [
        f"run.json reports {told[name]} transitions {meaning}, {LOG_FILE} holds {held}"
        for name, meaning, held in (
            ("committed", "committed", log.committed),
            ("human", "with a person's actions", log.human),
        )
        if told.get(name, held) != held
    ]
    outcomes = {item.episode: item.outcome for item in episodes}
    other = [n for n, end in log.outcomes.items() if outcomes.get(n, end) is not end]
    # An episode that was cut before its first window leaves nothing in the log.
    unended = [
        n for n, end in outcomes.items() if end is not Outcome.TRUNCATED and n not in log.outcomes
    ]
    return found + [
        f"{LOG_FILE} holds {what} of episode{'s' * (len(numbers) > 1)} "
        + ", ".join(map(str, sorted(numbers)))
        for what, numbers in (("another outcome", other), ("no end", unended))
        if numbers
    ]
