"""What the recorder has committed, what waits for room on the disk, and what a restart finds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from rlt_core.contract import Contract
from rlt_core.log.sqlite_log import LOG_FILE, DurableLog
from rlt_core.log.transition_log import Log, TransitionLog, pages
from rlt_core.log.windows import episode_end
from rlt_core.records import (
    INTERRUPTED,
    Commit,
    EpisodeState,
    Outcome,
    Phase,
    Source,
    Transition,
)

MAX_WAITING = 10_000  # an episode of almost seven minutes; the next one does not open meanwhile


def open_log(folder: Path | None, run: str, contract: Contract) -> Log:
    """Begin the log of a run, or resume it; in memory if there is no folder.

    Raises:
        ValueError: If the folder holds another run's log, or it is damaged.
        OSError: If it cannot be opened, or another process writes it.
    """
    return TransitionLog(run) if folder is None else DurableLog(folder / LOG_FILE, run, contract)


class CommitQueue:
    """The bookkeeping of one run's log.

    Attributes:
        log: The log.
        human: Inserts in which a person decided at least one tick.
        episode: Newest closed episode.
        episode_seq: Seq of the newest EPISODE_END commit.
        not_finite: Windows left out since they hold a number that is not finite.
        fault: Why nothing can be committed now, empty if all is well.
        begun: Commits that this process made.
    """

    def __init__(self, log: Log) -> None:
        """Read what an earlier process has committed.

        Raises:
            ValueError: If the log is damaged.
        """
        self.log = log
        self.human = 0
        self.episode = 0
        self.episode_seq = 0
        self.not_finite = 0
        self.fault = ""
        self.begun = 0
        self._waiting: deque[Transition] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._open: dict[int, Transition] = {}
        for page in pages(log):
            for transition in page:
                self._count(transition)

    @property
    def waiting(self) -> int:
        """Transitions that are not committed yet."""
        return len(self._waiting)

    @property
    def unclosed(self) -> Sequence[Transition]:
        """The live windows of the episode that has no end yet, in order; empty if there is none."""
        return tuple(self._open.values())

    def closed_as(self, episode: int) -> Outcome | None:
        """Outcome of a closed episode in the log; None if the log does not hold its end."""
        return self._outcomes.get(episode)

    def require(self, received: int) -> None:
        """Check that the log holds what a learner has received of it: no seq is used twice.

        Args:
            received: Number of commits that the learner has.

        Raises:
            ValueError: If it has more.
        """
        if received > len(self.log):
            raise ValueError(
                f"the learner has received {received} commits of run {self.log.run!r}, its log "
                f"holds {len(self.log)}: the others were lost with a disk or with a recorder "
                "without output; end the learner as well, and resume the run from its checkpoint"
            )

    def add(self, transitions: Iterable[Transition]) -> bool:
        """Queue transitions to be committed, in order.

        Returns:
            Whether an episode's end is among them.

        Raises:
            OSError: If too many wait already.
        """
        ended = False
        for transition in transitions:
            if not transition.finite:
                self.not_finite += 1
                continue
            self._waiting.append(transition)
            ended = ended or transition.commit is Commit.EPISODE_END
        if len(self._waiting) > MAX_WAITING:
            raise OSError(f"{len(self._waiting)} transitions wait: {self.fault}")
        return ended

    def flush(self) -> list[Transition]:
        """Commit all that waits.

        Returns:
            What was committed; nothing during a fault, whose cause is then in `fault`.
        """
        if not self._waiting:
            return []
        try:
            committed = self.log.commit_all(self._waiting)
        except OSError as error:
            self.fault = str(error)
            return []
        self.fault = ""
        self._waiting.clear()
        self.begun += len(committed)
        for transition in committed:
            self._count(transition)
        return committed

    def _count(self, t: Transition) -> None:
        self.human += t.commit is Commit.INSERT and t.decided_by_person
        if t.commit is Commit.EPISODE_END:
            self.episode, self.episode_seq = max(self.episode, t.episode), t.seq
            self._outcomes[t.episode] = t.outcome
            # The end of an older episode is a correction: the running one stays open.
            self._open = {step: o for step, o in self._open.items() if o.episode > t.episode}
        elif t.episode <= self.episode:
            return  # a correction of a closed episode
        elif t.commit is Commit.TOMBSTONE:
            self._open.pop(t.step, None)
        else:
            self._open[t.step] = t


def interrupted_end(windows: Sequence[Transition]) -> Transition:
    """The end of an episode whose end was not seen: truncated after its last window.

    Args:
        windows: Its live windows in order, at least one.
    """
    last = windows[-1]
    steps = last.step + last.valid
    state = EpisodeState(
        run=last.run, episode=last.episode, kind=last.kind, phase=Phase.ENDED,
        acting=Source.UNKNOWN, explore=False, seed=0, tick=steps, start_tick=0, end_tick=steps,
        outcome=Outcome.TRUNCATED, label_source=INTERRUPTED,
    )
    return episode_end(state, axes=last.actions.shape[1])
