"""The time of a run, whose log holds none: executed ticks, one episode after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from rlt_core.records import EpisodeKind, EpisodeState, Phase, Source
from rlt_report.run_folder import RunFolder

NANOSECONDS = 1_000_000_000


class Timeline:
    """Where the episodes of a run lie when no time passes between them.

    Attributes:
        starts: First tick of each episode, counted from the first tick of the run.
        lengths: Executed ticks of each episode, from episodes.jsonl or the log, whichever reaches
            further.
    """

    def __init__(self, run: RunFolder) -> None:
        """Put the episodes of a run one after the other."""
        lengths = dict(run.log.lengths) if run.log else {}
        for item in run.episodes:
            lengths[item.episode] = max(item.steps, lengths.get(item.episode, 0))
        self.lengths = dict(sorted(lengths.items()))
        ends = accumulate(self.lengths.values(), initial=0)
        self.starts = dict(zip(self.lengths, ends, strict=False))
        self._run = run

    def nanoseconds(self, tick: int) -> int:
        """Time of a tick, from the first tick of the run."""
        return round(tick * self._run.dt * NANOSECONDS)

    def states(self) -> Iterator[EpisodeState]:
        """How the ended episodes began, reached their critical phase and ended, in order."""
        for result in self._run.episodes:
            start, length = self.starts[result.episode], self.lengths[result.episode]
            approach = result.steps - result.critical_steps
            state = EpisodeState(
                run=self._run.meta["run"],
                episode=result.episode,
                kind=result.kind,
                phase=Phase.RUNNING,
                acting=Source.BASE if approach else result.kind.acting,
                explore=result.kind is EpisodeKind.TRAIN,
                seed=result.seed,
                tick=start,
                start_tick=start,
                critical=not approach,
                critical_tick=0 if approach else start,
            )
            yield state
            if 0 < approach < length:
                begins = start + approach
                state = replace(
                    state, acting=result.kind.acting, tick=begins, critical=True,
                    critical_tick=begins,
                )
                yield state
            yield replace(
                state, phase=Phase.ENDED, tick=start + length, end_tick=start + length,
                outcome=result.outcome, label_source=result.label_source,
            )
