"""The log of transitions: every commit gets the next number of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Protocol

from rlt_core.records import Transition

PAGE = 512


class Log(Protocol):
    """Commits of one run, numbered gaplessly from 1; a commit that has returned is permanent.

    Attributes:
        run: Identifier of the run.
    """

    run: str

    def __len__(self) -> int:
        """Number of commits, which is the highest seq."""

    def commit(self, transition: Transition) -> Transition:
        """Append a transition and return it with its seq.

        Raises:
            ValueError: If it belongs to another run or does not fit the log.
            OSError: If it cannot be stored now; nothing is appended.
        """

    def commit_all(self, transitions: Iterable[Transition]) -> list[Transition]:
        """As `commit`, for several: all of them or none."""

    def page(self, first: int, count: int) -> list[Transition]:
        """Return up to `count` commits from seq `first` on, for a reader that missed some.

        Raises:
            ValueError: If `first` is not a seq, `count` is negative, or a commit is damaged.
        """

    def close(self) -> None:
        """Accept no more commits."""


class TransitionLog:
    """A log in memory: it is lost when the process ends."""

    def __init__(self, run: str) -> None:
        """Start an empty log.

        Args:
            run: Identifier of the run.
        """
        self.run = run
        self._commits: list[Transition] = []

    def __len__(self) -> int:
        """Number of commits, which is the highest seq."""
        return len(self._commits)

    def commit(self, transition: Transition) -> Transition:
        """Append a transition and return it with its seq.

        Raises:
            ValueError: If it belongs to another run.
        """
        return self.commit_all([transition])[0]

    def commit_all(self, transitions: Iterable[Transition]) -> list[Transition]:
        """As `commit`, for several: all of them or none."""
        committed = numbered(transitions, self.run, len(self._commits) + 1)
        self._commits += committed
        return committed

    def page(self, first: int, count: int) -> list[Transition]:
        """Return up to `count` commits from seq `first` on, for a reader that missed some.

        Raises:
            ValueError: If `first` is not a seq or `count` is negative.
        """
        require_page(first, count)
        return self._commits[first - 1 : first - 1 + count]

    def close(self) -> None:
        """Do nothing: there is no file to close."""


class Pages(Protocol):
    """Anything that can be read by seq, like a `Log`."""

    def page(self, first: int, count: int) -> list[Transition]:
        """Return up to `count` commits from seq `first` on."""


def pages(log: Pages, first: int = 1, last: int | None = None) -> Iterator[list[Transition]]:
    """Yield the commits from seq `first` on, a bounded page at a time.

    Args:
        log: The log; it may grow in the meantime.
        first: Seq of the first commit.
        last: Seq of the last commit; None: all that exist when they are read.
    """
    while last is None or first <= last:
        page = log.page(first, PAGE if last is None else min(PAGE, last - first + 1))
        if not page:
            return
        yield page
        first += len(page)


def numbered(transitions: Iterable[Transition], run: str, first: int) -> list[Transition]:
    """Return transitions of a run with their seqs, from `first` on.

    Raises:
        ValueError: If one belongs to another run.
    """
    committed = []
    for seq, transition in enumerate(transitions, start=first):
        if transition.run != run:
            raise ValueError(
                f"transition of run {transition.run!r} does not belong in the log of run "
                f"{run!r}: restart the node that still serves the old run"
            )
        committed.append(dataclasses.replace(transition, seq=seq))
    return committed


def require_page(first: int, count: int) -> None:
    """Check the bounds of a page.

    Raises:
        ValueError: If `first` is not a seq or `count` is negative.
    """
    if first < 1 or count < 0:
        raise ValueError(f"page of {count} commits from seq {first}: seq counts from 1")
