"""From streams of features and control steps to self-contained chunk transitions.

A window starts on every stride tick and holds what was executed in the next C ticks. The output and
its order depend only on the records, not on how the two streams interleave: a window waits for its
turn, and the end of the episode waits for the last record of both streams.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import numpy as np

from rlt_core.contract import Contract
from rlt_core.records import (
    INTERRUPTED,
    KEPT_EPISODES,
    PEOPLE,
    Commit,
    ControlStep,
    EpisodeState,
    Features,
    FloatArray,
    Outcome,
    Phase,
    Source,
    Transition,
)

EARLY_RECORDS = 4096
"""Records kept that arrive before their episode: twice the history of both topics together."""


class WindowBuilder:
    """Joins features, control steps and episode state into transitions without a seq.

    Each of the two streams must arrive in order of ticks. A record that is missing when a later one
    arrives is lost, and so are the windows that need it; nothing is interpolated. Evaluation
    episodes, and the approach before a critical phase, yield no windows.
    """

    def __init__(self, contract: Contract, intervention_reference: str = "human") -> None:
        """Start without an episode.

        Args:
            contract: Chunk, stride, planning delay and sizes.
            intervention_reference: The reference at ticks in which a person acted: "human",
                the executed increment (RL Token paper, Algorithm 1), or "vla", as proposed.
        """
        self._contract = contract
        self._human_reference = intervention_reference == "human"
        self._episodes: OrderedDict[int, _Episode] = OrderedDict()
        self._newest = 0
        self._missed = 0  # in episodes that are no longer kept
        self._early: deque[Features | ControlStep] = deque(maxlen=EARLY_RECORDS)

    def start(
        self, state: EpisodeState, committed: Iterable[Transition] = ()
    ) -> list[Transition]:
        """Open an episode; for the newest one, note that its critical phase has begun.

        A state of an older episode has no effect.

        Args:
            state: The episode's state.
            committed: Its windows that an earlier process has emitted: they are not emitted again,
                and are not removed if their records are lost.

        Returns:
            What became publishable: the rest of an ended episode that was still waiting for
            records, and windows of records that arrived before this call.
        """
        if state.episode == self._newest and state.episode in self._episodes:
            return list(self._episodes[state.episode].update(state))
        if state.episode <= self._newest:
            return []
        self._newest = state.episode
        transitions = self.flush()
        self._episodes[state.episode] = _Episode(
            self._contract, self._human_reference, state, committed
        )
        if len(self._episodes) > KEPT_EPISODES:
            self._missed += self._episodes.popitem(last=False)[1].missed
        early = tuple(self._early)
        self._early.clear()
        for record in early:
            transitions += self._add(record)
        return transitions

    def add_features(self, features: Features) -> list[Transition]:
        """Add the features of one stride tick; return what became publishable."""
        return self._add(features)

    def add_step(self, step: ControlStep) -> list[Transition]:
        """Add what was sent at one tick; return what became publishable."""
        return self._add(step)

    def end(self, state: EpisodeState) -> list[Transition]:
        """Note how an episode ended, or that its label was corrected.

        A state with another start tick comes from a restarted episodes node, which counts from 0:
        its ticks are shifted to the tick at which the episode began. A state that is `INTERRUPTED`
        ends the episode after its newest record, if it has not ended before.

        Returns:
            What became publishable: if all records have arrived, the windows of the tail and the
            EPISODE_END; for a correction, revisions, inserts and tombstones of what it changes
            and a new EPISODE_END. An outcome NONE discards the episode.

        Raises:
            ValueError: If the state is not that of an ended episode, or the episode is unknown.
        """
        if state.phase != Phase.ENDED:
            raise ValueError(f"episode {state.episode} is {state.phase.name}, expected ENDED")
        if state.episode not in self._episodes:
            raise ValueError(
                f"episode {state.episode} is not among the last {KEPT_EPISODES} that were "
                "recorded: it can be neither ended nor corrected"
            )
        return list(self._episodes[state.episode].end(state))

    @property
    def missed(self) -> int:
        """Windows of closed episodes that could not be built, since a record never arrived."""
        return self._missed + sum(episode.missed for episode in self._episodes.values())

    def remembers(self, episode: int) -> bool:
        """Whether the records of an episode are kept, so that it can be ended or corrected."""
        return episode in self._episodes

    def flush(self) -> list[Transition]:
        """Close ended episodes with the records so far, because a source fell silent."""
        return [t for episode in self._episodes.values() for t in episode.close()]

    def _add(self, record: Features | ControlStep) -> list[Transition]:
        if record.episode > self._newest:
            self._early.append(record)
        episode = self._episodes.get(record.episode)
        return [] if episode is None else list(episode.add(record))


class _Episode:
    """The records of one episode, and the windows emitted from them."""

    def __init__(
        self,
        contract: Contract,
        human_reference: bool,
        state: EpisodeState,
        committed: Iterable[Transition],
    ) -> None:
        self._contract = contract
        self._human_reference = human_reference
        self._state = state
        self._features: dict[int, Features] = {}
        self._steps: dict[int, ControlStep] = {}
        self._newest_features = state.start_tick - 1
        self._newest_step = state.start_tick - 1
        self._next = max(state.start_tick, state.critical_tick)
        self._before = {
            state.start_tick + t.step - contract.planning_delay_ticks: t for t in committed
        }
        self._emitted = dict(self._before)
        if self._before:
            self._next = max(self._before) + contract.stride
        self._closed = False
        self.missed = 0

    def update(self, state: EpisodeState) -> Iterator[Transition]:
        """Note that the critical phase has begun; yield what became publishable."""
        if state.phase != Phase.ENDED and state.critical and not self._state.critical:
            self._take(state)
            yield from self._live()

    def add(self, record: Features | ControlStep) -> Iterator[Transition]:
        """Store a record; yield what became publishable."""
        if isinstance(record, Features):
            if record.tick > self._newest_features:
                self._newest_features = record.tick
                self._features[record.tick] = record
        elif record.tick > self._newest_step:
            self._newest_step = record.tick
            self._steps[record.tick] = record
        yield from self._live()
        yield from self._close_if_complete()

    def end(self, state: EpisodeState) -> Iterator[Transition]:
        """Store the outcome; yield what became publishable."""
        if state.label_source == INTERRUPTED:
            yield from self._interrupt(state)
            return
        corrected = self._closed and state.outcome != self._state.outcome
        self._take(state)
        if corrected:
            yield from self._settle()
        yield from self._close_if_complete()

    def _interrupt(self, state: EpisodeState) -> Iterator[Transition]:
        """End a running episode after its newest record; close one that has ended."""
        if self._state.phase != Phase.ENDED:
            start = self._state.start_tick
            windows = (start + t.step + t.valid for t in self._before.values())
            end = max(self._newest_step + 1, *windows, start)
            self._take(
                dataclasses.replace(
                    self._state, phase=Phase.ENDED, tick=end, end_tick=end,
                    outcome=state.outcome, label_source=state.label_source,
                )
            )
        yield from self.close()

    def close(self) -> Iterator[Transition]:
        """Yield the rest of an ended episode, complete or not."""
        if self._state.phase == Phase.ENDED and not self._closed:
            self._closed = True
            yield from self._settle()

    def _take(self, state: EpisodeState) -> None:
        """Use a newer state: no window begins before its critical phase."""
        self._state = _counted_from(self._state.start_tick, state)
        self._next = max(self._next, self._state.critical_tick)

    def _live(self) -> Iterator[Transition]:
        """Yield windows that end well before the newest step: the label cannot change them."""
        if not self._state.stores(self._next) or self._closed:
            return
        chunk, delay = self._contract.chunk, self._contract.planning_delay_ticks
        ended = self._state.phase == Phase.ENDED
        while (
            (not ended or self._next < self._state.end_tick)
            and self._newest_step >= self._next + delay + chunk + delay
            and self._newest_features >= self._next + chunk
        ):
            window = self._window(self._next, end=self._newest_step + 1, outcome=Outcome.NONE)
            if window is not None:
                self._emitted[self._next] = window
                yield window
            self._next += self._contract.stride

    def _close_if_complete(self) -> Iterator[Transition]:
        """Close an ended episode once the last record of both streams has arrived."""
        if self._state.phase != Phase.ENDED:
            return
        last = self._state.end_tick - 1
        last_observed = last - last % self._contract.stride
        observed = not self._state.stores(last_observed) or self._newest_features >= last_observed
        if self._newest_step >= last and observed:
            yield from self.close()

    def _settle(self) -> Iterator[Transition]:
        """Yield the difference between the emitted windows and those that the outcome requires."""
        wanted = self._windows()
        outcome = self._state.outcome
        for tick in sorted({*wanted, *self._emitted}):
            old, new = self._emitted.get(tick), wanted.get(tick)
            if new is None and old is not None:
                yield dataclasses.replace(old, commit=Commit.TOMBSTONE, outcome=outcome)
            elif new is not None and old is None:
                yield new
            elif new is not None and old is not None and not _same(old, new):
                yield dataclasses.replace(new, commit=Commit.REVISION, outcome=outcome)
        self._emitted = wanted
        yield episode_end(self._state, self._contract.action.size)

    def _windows(self) -> dict[int, Transition]:
        """All windows of the ended episode by the tick of their observation."""
        state = self._state
        first = max(state.start_tick, state.critical_tick)
        if not state.stores(first) or state.outcome == Outcome.NONE:
            return {}
        windows = {}
        self.missed = 0
        for tick in range(first, state.end_tick, self._contract.stride):
            window = self._window(tick, state.end_tick, state.outcome) or self._before.get(tick)
            if window is not None:
                windows[tick] = window
            elif self._bounds(tick, state.end_tick, state.outcome) is not None:
                self.missed += 1
        return windows

    def _bounds(self, observed: int, end: int, outcome: Outcome) -> tuple[int, bool] | None:
        """Length of the window of one observation, and whether the episode terminates in it.

        Args:
            observed: Tick of the observation.
            end: One past the last tick that may be used.
            outcome: NONE while the episode runs.

        Returns:
            None if the window has no executed tick, or is cut by a truncation.
        """
        contract = self._contract
        start = observed + contract.planning_delay_ticks
        valid = min(contract.chunk, end - start)
        true_end = outcome in (Outcome.SUCCESS, Outcome.FAILURE)
        terminated = true_end and start + valid == end
        if valid < 1 or (valid < contract.chunk and not terminated):
            return None
        if not terminated and observed + contract.chunk >= end:
            return None  # no observation is taken after the last tick of a truncation
        return valid, terminated

    def _window(self, observed: int, end: int, outcome: Outcome) -> Transition | None:
        """Build the window of one observation; None if `_bounds` is None or a record is missing."""
        bounds = self._bounds(observed, end, outcome)
        if bounds is None:
            return None
        valid, terminated = bounds
        contract = self._contract
        start, following = observed + contract.planning_delay_ticks, observed + contract.chunk
        here, there = self._features.get(observed), self._features.get(following)
        steps = [self._steps.get(tick) for tick in range(observed, start + valid)]
        if here is None or None in steps or (there is None and not terminated):
            return None
        executed = [step for step in steps if step is not None]
        committed, window = np.split(
            np.stack([step.increment for step in executed]), [start - observed]
        )
        sources = np.full(contract.chunk, Source.UNKNOWN, np.uint8)
        sources[:valid] = [step.source for step in executed[start - observed :]]
        limited = np.zeros(contract.chunk, np.bool_)
        limited[:valid] = [bool(step.limited) for step in executed[start - observed :]]
        reference = np.array(here.reference, np.float32)
        if self._human_reference:
            by_person = np.isin(sources[:valid], PEOPLE)
            reference[:valid][by_person] = window[by_person]
        actions = reference.copy()
        actions[:valid] = window
        rewards = np.zeros(contract.chunk, np.float32)
        if terminated and outcome == Outcome.SUCCESS:
            rewards[valid - 1] = 1.0
        # The committed actions at x' are the last ones of this window.
        ending = np.concatenate((committed, window))[len(window) :]
        return Transition(
            run=self._state.run,
            episode=self._state.episode,
            step=start - self._state.start_tick,
            seq=0,
            commit=Commit.INSERT,
            kind=self._state.kind,
            token=here.token,
            proprio=here.proprio,
            committed=committed,
            reference=reference,
            actions=actions,
            sources=sources,
            valid=valid,
            rewards=rewards,
            terminated=terminated,
            next_token=_or_zeros(terminated, there, here.token, "token"),
            next_proprio=_or_zeros(terminated, there, here.proprio, "proprio"),
            next_committed=np.zeros_like(committed) if terminated else ending,
            next_reference=_or_zeros(terminated, there, reference, "reference"),
            outcome=outcome if terminated else Outcome.NONE,
            policy_version=executed[start - observed].policy_version,
            limited=limited,
        )


def episode_end(state: EpisodeState, axes: int) -> Transition:
    """The record that closes an ended episode: its length and outcome, empty arrays.

    Args:
        state: The ended episode's state.
        axes: Number of action axes.
    """
    vector = np.zeros(0, np.float32)
    rows = np.zeros((0, axes), np.float32)
    return Transition(
        run=state.run,
        episode=state.episode,
        step=state.end_tick - state.start_tick,
        seq=0,
        commit=Commit.EPISODE_END,
        kind=state.kind,
        token=vector,
        proprio=vector,
        committed=rows,
        reference=rows,
        actions=rows,
        sources=np.zeros(0, np.uint8),
        valid=0,
        rewards=vector,
        terminated=state.outcome in (Outcome.SUCCESS, Outcome.FAILURE),
        next_token=vector,
        next_proprio=vector,
        next_committed=rows,
        next_reference=rows,
        outcome=state.outcome,
    )


def _counted_from(start_tick: int, state: EpisodeState) -> EpisodeState:
    """An episode's state with its ticks shifted to the tick at which the episode began."""
    moved = start_tick - state.start_tick
    if not moved or state.phase != Phase.ENDED:
        return state
    return dataclasses.replace(
        state, tick=state.tick + moved, start_tick=start_tick, end_tick=state.end_tick + moved,
        critical_tick=state.critical_tick + moved,
    )


def _or_zeros(
    terminated: bool, features: Features | None, like: FloatArray, name: str
) -> FloatArray:
    """A field of the features at the window's end; zeros if the episode ended before."""
    if terminated or features is None:
        return np.zeros_like(like)
    return np.asarray(getattr(features, name))


def _same(old: Transition, new: Transition) -> bool:
    """Whether two windows of one key agree: an outcome can change only their end."""
    return (
        old.valid == new.valid
        and old.terminated == new.terminated
        and np.array_equal(old.rewards, new.rewards)
    )
