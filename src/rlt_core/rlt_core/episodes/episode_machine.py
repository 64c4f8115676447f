"""Schedule, phases and labels of a run's episodes; no other code decides them. No ROS."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rlt_core.control.rejection import UNJUDGED
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import EpisodePlan, make_schedule
from rlt_core.records import (
    KEPT_EPISODES,
    PEOPLE,
    EpisodeKind,
    EpisodeState,
    Outcome,
    Phase,
    Source,
)
from rlt_core.settings import ScheduleSettings


@dataclass(frozen=True)
class Reply:
    """Reply to a person's request.

    Attributes:
        applied: Whether the request was applied.
        message: What was applied to which episode, or why not and what to do.
        state: The episode's new state if it changed, to be published; else None.
    """

    applied: bool
    message: str
    state: EpisodeState | None = None


class EpisodeMachine:
    """Phases and labels of the episodes of one run.

    The state's `tick` is the first tick not yet executed: an episode that ends at tick k has
    executed start_tick ... k - 1. A full-task episode begins with an approach, which the base
    policy drives until the handover. Then the critical phase begins; only this phase is stored.

    Attributes:
        schedule: The planned episodes.
        state: The state of the current episode.
    """

    def __init__(
        self, run: str, settings: ScheduleSettings, warmup_episodes: int, chunk: int
    ) -> None:
        """Set up.

        Args:
            run: Identifier of the run.
            settings: Schedule and time limit.
            warmup_episodes: Training episodes that the base policy drives.
            chunk: Executed chunk length C; episodes start on its multiples.

        Raises:
            ValueError: If the schedule is impossible.
        """
        self.schedule = make_schedule(settings, warmup_episodes)
        self.state = EpisodeState(
            run=run,
            episode=0,
            kind=EpisodeKind.UNKNOWN,
            phase=Phase.IDLE,
            acting=Source.BASE,
            explore=False,
            seed=0,
            tick=0,
            start_tick=0,
        )
        self._full_task = settings.full_task
        self._approach_limit = settings.approach_limit_ticks
        self._time_limit = settings.time_limit_ticks
        self._limit_outcome = (
            Outcome.FAILURE if settings.time_limit == "failure" else Outcome.TRUNCATED
        )
        self._label_needs_id = settings.label_needs_id_ticks
        self._chunk = chunk
        self._ended: dict[int, EpisodeState] = {}
        self._restored = 0
        self._interventions: Counter[int] = Counter()
        self._human_ticks: Counter[int] = Counter()
        self._held_ticks: Counter[int] = Counter()
        self._held = 0  # ticks since the running time limit began
        self._human_acting = False
        self._driven: bool | None = None
        self._faulted = False

    @property
    def human_acting(self) -> bool:
        """Whether a person decided the newest tick."""
        return self._human_acting

    @property
    def results(self) -> list[EpisodeResult]:
        """Results of all ended episodes, in order, with all corrections applied."""
        return [
            EpisodeResult(
                episode=number,
                kind=state.kind,
                seed=state.seed,
                outcome=state.outcome,
                steps=state.end_tick - state.start_tick,
                label_source=state.label_source,
                interventions=self._interventions[number],
                critical_steps=state.critical_steps,
                human_ticks=self._human_ticks[number],
                held_ticks=self._held_ticks[number],
            )
            for number, state in sorted(self._ended.items())
        ]

    @property
    def upcoming(self) -> EpisodePlan | None:
        """The episode that `next` opens; None if the schedule is complete."""
        number = self.state.episode
        return self.schedule[number] if number < len(self.schedule) else None

    def restore(self, results: Iterable[EpisodeResult]) -> None:
        """Continue after the episodes of an earlier process; ticks are counted from 0 again.

        Args:
            results: The ended episodes of that process, from the first one on.

        Raises:
            ValueError: If they do not match this schedule.
        """
        for plan, result in zip(self.schedule, results, strict=False):
            if (result.episode, result.kind, result.seed) != (plan.episode, plan.kind, plan.seed):
                raise ValueError(
                    f"episode {result.episode} was of kind {result.kind.name.lower()}, seed "
                    f"{result.seed}, this schedule has kind {plan.kind.name.lower()}, seed "
                    f"{plan.seed}: resume with the arguments of the first start"
                )
            self.state = self._ended[plan.episode] = EpisodeState(
                run=self.state.run,
                episode=plan.episode,
                kind=plan.kind,
                phase=Phase.ENDED,
                acting=plan.kind.acting,
                explore=plan.kind is EpisodeKind.TRAIN,
                seed=plan.seed,
                tick=0,
                start_tick=0,
                end_tick=result.steps,
                outcome=result.outcome,
                label_source=result.label_source,
                critical_tick=result.steps - result.critical_steps,
            )
            self._interventions[plan.episode] = result.interventions
            self._human_ticks[plan.episode] = result.human_ticks
            self._held_ticks[plan.episode] = result.held_ticks
            self._restored = plan.episode

    def next(self) -> EpisodeState:
        """Open the next scheduled episode, in the phase resetting; or finish.

        Raises:
            RuntimeError: If an episode is resetting or running.
        """
        if self.state.phase in (Phase.RESETTING, Phase.RUNNING):
            raise RuntimeError(f"episode {self.state.episode} has not ended: it must end first")
        plan = self.upcoming
        if plan is None:
            self.state = dataclasses.replace(self.state, phase=Phase.FINISHED)
            return self.state
        self._human_acting = False
        self._driven = None
        self._faulted = False
        self._held = 0
        self.state = EpisodeState(
            run=self.state.run,
            episode=plan.episode,
            kind=plan.kind,
            phase=Phase.RESETTING,
            acting=Source.BASE if self._full_task else plan.kind.acting,
            explore=plan.kind is EpisodeKind.TRAIN,
            seed=plan.seed,
            tick=self.state.tick,
            start_tick=0,
            critical=not self._full_task,
        )
        return self.state

    def begin(self, start_tick: int) -> EpisodeState:
        """Note that the reset is done: the episode runs from `start_tick` on.

        Raises:
            RuntimeError: If no episode is being reset.
            ValueError: If the tick is not a chunk boundary or is in the past.
        """
        if self.state.phase is not Phase.RESETTING:
            raise RuntimeError(f"no episode is being reset: phase is {self.state.phase.name}")
        if start_tick % self._chunk or start_tick < self.state.tick:
            raise ValueError(
                f"episode {self.state.episode} cannot start at tick {start_tick}: expected a "
                f"multiple of {self._chunk} from {self.state.tick} on"
            )
        self.state = dataclasses.replace(
            self.state,
            phase=Phase.RUNNING,
            start_tick=start_tick,
            tick=start_tick,
            critical_tick=start_tick if self.state.critical else 0,
        )
        return self.state

    def observe(
        self, tick: int, success: bool, failure: bool = False, critical: bool = False
    ) -> EpisodeState:
        """Note that all ticks before `tick` are executed, and the state of the task then.

        A verdict ends the episode, and so does a time limit: one for the approach, one for the
        critical phase. Holds do not count towards a time limit, and may truncate the episode; see
        `controlled`. Past ticks, and ticks outside a running episode, change nothing.

        Args:
            tick: First tick not yet executed.
            success: Automatic verdict; False if only a person judges.
            failure: Automatic verdict that the task cannot succeed any more; success has priority.
            critical: Automatic signal that the critical phase is reached: triggers the handover.

        Returns:
            The state, ended or not.
        """
        if self.state.phase is not Phase.RUNNING or tick < self.state.tick:
            return self.state
        self.state = dataclasses.replace(self.state, tick=tick)
        if critical and not self.state.critical:
            self._begin_critical()
        steps = tick - self.state.start_tick
        if success and steps > 0:
            return self._end(Outcome.SUCCESS, "auto")
        if failure and steps > 0:
            return self._end(Outcome.FAILURE, "auto")
        end = self._timed_end()
        return self._end(*end) if end is not None else self.state

    def controlled(self, tick: int, episode: int, source: Source, fault: str) -> None:
        """Note what the controller did at a tick, where somebody watches it: more than `executed`.

        A hold has causes outside the policy: a missing camera, a late policy or a silent device. It
        therefore does not count towards the time limit. An episode whose holds add up to its time
        limit is truncated.

        An episode in which a fault latched a hold continues, so that a person can end it; but its
        time limit does not make it a failure: it is truncated. So is an episode that the controller
        never drove.

        Args:
            tick: The tick, not observed as executed yet.
            episode: The episode that the controller drove, 0 if none.
            source: Who decided it.
            fault: Code of the fault that held the robot, as `ControlStep.fault` has it.
        """
        self.executed(source)
        state = self.state
        if state.phase is not Phase.RUNNING or tick < state.start_tick:
            return
        driven = episode == state.episode
        self._driven = driven or bool(self._driven)
        self._faulted |= driven and fault in UNJUDGED
        if source is Source.HOLD:
            self._held_ticks[state.episode] += 1
            self._held += tick >= state.critical_tick

    def executed(self, source: Source) -> None:
        """Note who decided an executed tick, to count a person's takeovers and ticks."""
        human = source in PEOPLE
        if human and self.state.phase is Phase.RUNNING:
            number = self.state.episode
            self._human_ticks[number] += 1
            self._interventions[number] += not self._human_acting
        self._human_acting = human

    def label(self, success: bool, episode_id: str = "") -> Reply:
        """A person's verdict.

        Without an id it ends the running episode at the current tick; between an episode's end
        and the next one's first executed tick it labels the ended one. Later labels need the id,
        and are possible for the last `KEPT_EPISODES` episodes. In the first ticks of an episode
        (`label_needs_id_ticks`) a label without an id is rejected, because such an early label most
        likely means the previous episode. A person's label overrides an automatic one.
        """
        number = self._addressed(episode_id)
        if isinstance(number, Reply):
            return number
        outcome = Outcome.SUCCESS if success else Outcome.FAILURE
        if number not in self._ended:
            if self.state.tick == self.state.start_tick:
                return self._no_tick_yet(number)
            state = self._end(outcome, "human")
        elif self._ended[number].label_source == "discard":
            return Reply(False, f"episode {number} was discarded: it cannot be labelled")
        elif self._ended[number].end_tick == self._ended[number].start_tick:
            return self._no_tick_yet(number)
        else:
            state = self._revise(number, outcome, "human")
        return Reply(True, f"episode {number} is a {outcome.name.lower()}", state)

    def abort(self, reason: str = "") -> Reply:
        """Truncate the running episode at the current tick, without a label."""
        if self.state.phase is not Phase.RUNNING:
            return Reply(False, f"no episode is running (phase {self.state.phase.name}): no abort")
        state = self._end(Outcome.TRUNCATED, "abort")
        because = f": {reason}" if reason else ""
        return Reply(True, f"episode {state.episode} was aborted{because}", state)

    def discard(self, episode_id: str = "") -> Reply:
        """Remove an episode, addressed as in `label`, from training; a running one ends."""
        number = self._addressed(episode_id)
        if isinstance(number, Reply):
            return number
        if number in self._ended:
            state = self._revise(number, Outcome.NONE, "discard")
        else:
            state = self._end(Outcome.NONE, "discard")
        return Reply(True, f"episode {number} was discarded", state)

    def handover(self, to_actor: bool) -> Reply:
        """Begin the critical phase of the running episode, or change who drives it.

        The first handover ends the approach: the critical phase begins at the next chunk boundary,
        and the actor drives from there if it may. Later handovers switch between the base policy
        and the actor; the critical phase continues.
        """
        state = self.state
        if state.phase is not Phase.RUNNING:
            return Reply(False, f"no episode is running (phase {state.phase.name}): no handover")
        if to_actor and not state.critical:
            state = self._begin_critical()
            return Reply(
                True,
                f"the critical phase of episode {state.episode} begins at tick "
                f"{state.critical_tick}: the {state.acting.name.lower()} policy drives it",
                state,
            )
        if state.critical and state.kind.acting is not Source.ACTOR:
            return Reply(
                False,
                f"episode {state.episode} is a {state.kind.name.lower()} episode, which "
                "the base policy drives throughout: no handover",
            )
        acting = Source.ACTOR if to_actor else Source.BASE
        if acting is state.acting:
            return Reply(False, f"the {acting.name.lower()} policy already drives")
        self.state = dataclasses.replace(state, acting=acting)
        return Reply(True, f"the {acting.name.lower()} policy drives from now on", self.state)

    def _begin_critical(self) -> EpisodeState:
        """Begin the critical phase at the first chunk boundary that is not executed yet."""
        self.state = dataclasses.replace(
            self.state,
            acting=self.state.kind.acting,
            critical=True,
            critical_tick=-(-self.state.tick // self._chunk) * self._chunk,
        )
        self._held = 0
        return self.state

    def _timed_end(self) -> tuple[Outcome, str] | None:
        """Outcome and label source if a time limit ends the episode now; else None."""
        state = self.state
        if state.critical:
            passed, limit = state.tick - state.critical_tick, self._time_limit
        else:
            passed, limit = state.tick - state.start_tick, self._approach_limit
        if self._faulted or self._driven is False:
            return (Outcome.TRUNCATED, "fault") if passed >= limit else None
        if passed - self._held >= limit:
            return self._limit_outcome, "time_limit"
        return (Outcome.TRUNCATED, "held") if self._held >= limit else None

    def _addressed(self, episode_id: str) -> int | Reply:
        """Number of the episode that a request means, or why it cannot be applied."""
        number = self._meant(episode_id)
        if isinstance(number, Reply) or number > self._restored:
            return number
        return Reply(
            False,
            f"episode {number} ended before this run was resumed: its records are no longer "
            f"available, so it stays {self._ended[number].outcome.name.lower()}; the episodes from "
            f"{self._restored + 1} on can be labelled and discarded",
        )

    def _meant(self, episode_id: str) -> int | Reply:
        """Number of the episode that a request means, or why it means none."""
        steps = self.state.tick - self.state.start_tick
        started = self.state.phase is Phase.RUNNING and steps > 0
        if not episode_id:
            last = self.state.episode - 1
            if started and steps < self._label_needs_id and last in self._ended:
                return Reply(
                    False,
                    f"episode {self.state.episode} began only {steps} ticks ago, so this may be "
                    f"meant for episode {last}: nothing was applied; set episode_id to "
                    f"'{self.state.run}/{last}' or '{self.state.run}/{self.state.episode}', or "
                    "repeat the request later for the running episode",
                )
            if started or self.state.episode in self._ended:
                return self.state.episode
            if last in self._ended:
                return last
            return Reply(False, "no episode has begun yet: nothing to label or discard")
        run, _, number = episode_id.rpartition("/")
        if run == self.state.run and number.isdecimal():
            running = self.state.phase is Phase.RUNNING and int(number) == self.state.episode
            if int(number) in self._ended and int(number) <= self.state.episode - KEPT_EPISODES:
                return Reply(
                    False,
                    f"episode {number} is too old to be corrected: the records of the last "
                    f"{KEPT_EPISODES} episodes are kept, now from "
                    f"{self.state.episode - KEPT_EPISODES + 1} on",
                )
            if running or int(number) in self._ended:
                return int(number)
        return Reply(
            False,
            f"episode_id {episode_id!r} is not an episode of this run so far: expected "
            f"'{self.state.run}/<number>' up to {self.state.episode}",
        )

    def _no_tick_yet(self, number: int) -> Reply:
        return Reply(False, f"episode {number} has no executed tick: discard or abort it instead")

    def _end(self, outcome: Outcome, label_source: str) -> EpisodeState:
        self.state = dataclasses.replace(
            self.state,
            phase=Phase.ENDED,
            end_tick=self.state.tick,
            outcome=outcome,
            label_source=label_source,
        )
        self._ended[self.state.episode] = self.state
        return self.state

    def _revise(self, number: int, outcome: Outcome, label_source: str) -> EpisodeState:
        state = dataclasses.replace(
            self._ended[number], outcome=outcome, label_source=label_source
        )
        self._ended[number] = state
        if number == self.state.episode:
            self.state = dataclasses.replace(
                self.state, outcome=outcome, label_source=label_source
            )
        return state
