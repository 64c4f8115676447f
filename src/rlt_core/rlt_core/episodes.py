"""The life of a run's episodes: schedule, phases, labels. Pure; the only judge of both."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlt_core.control import LATCHED
from rlt_core.records import PEOPLE, EpisodeKind, EpisodeState, Outcome, Phase, Source
from rlt_core.settings import ScheduleSettings
from rlt_core.windows import KEPT_EPISODES

SEEDS_PER_RUN = 1_000_000
"""Seeds below belong to pretraining and tuning; every run seed owns a block of this size."""
EVALUATION_SEEDS = 500_000
"""Offset of the evaluation seeds within the block; training seeds lie below it."""

GUARD_FAULTS = frozenset((*LATCHED, "trip"))
"""What `ControlStep.limited` names where the policy acts no more until the next episode."""


@dataclass(frozen=True)
class EpisodePlan:
    """One scheduled episode: its number in the run (from 1), what for, and its seed."""

    episode: int
    kind: EpisodeKind
    seed: int


@dataclass(frozen=True)
class EpisodeResult:
    """What became of one episode.

    Attributes:
        episode: Number in the run, from 1.
        kind: What it was for.
        seed: Its seed.
        outcome: How it ended; NONE if it was discarded.
        steps: Executed control ticks, those of the approach and those in which the rig held the
            robot included: it is robot time all the same.
        label_source: Who judged: "human", "auto", "time_limit", "abort" or "discard";
            "guard_fault", which let the time limit judge nothing; "held", since the rig held the
            robot for as long as a time limit; or "interrupted": nobody, since the process ended
            in it.
        interventions: Number of takeovers.
        critical_steps: Executed control ticks of the critical phase.
        human_ticks: Executed control ticks that a person decided, blending included.
        held_ticks: Executed control ticks in which the rig held the robot; none in lockstep.
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

        Records of versions that knew no approach, no person and no held robot lack
        `critical_steps`, `human_ticks` and `held_ticks`: their whole episodes were critical,
        nobody acted in them, and what the rig held they did not count.

        Raises:
            ValueError: If a field is missing or has no meaning; names it.
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
            raise ValueError(f"episode result: {error.args[0]!r} is no kind or outcome") from error
        return cls(**plain)


@dataclass(frozen=True)
class Reply:
    """Answer to a person's request.

    Attributes:
        applied: Whether it was applied.
        message: What was applied to which episode, or why not and what to do.
        state: The episode's new state where it changed, to be published; else None.
    """

    applied: bool
    message: str
    state: EpisodeState | None = None


def make_schedule(settings: ScheduleSettings, warmup_episodes: int) -> tuple[EpisodePlan, ...]:
    """Plan a run: base evaluation, warm-up, training, evaluation.

    The two evaluations are paired: their episodes i share a seed. Training seeds never occur in
    evaluation, and runs with other seeds share none.

    Args:
        settings: Numbers of episodes and the run's seed.
        warmup_episodes: How many of the training episodes the base policy drives.

    Returns:
        The plan, episodes numbered from 1.

    Raises:
        ValueError: If there is nothing to do, warm-up leaves no training, or a block of seeds is
            too small.
    """
    if settings.episodes and settings.episodes <= warmup_episodes:
        raise ValueError(
            f"episodes {settings.episodes} include the {warmup_episodes} of warm-up and leave "
            "nothing to train: raise episodes or lower warmup_episodes"
        )
    counts = {
        EpisodeKind.BASE_EVAL: settings.base_eval_episodes,
        EpisodeKind.WARMUP: min(warmup_episodes, settings.episodes),
        EpisodeKind.TRAIN: max(settings.episodes - warmup_episodes, 0),
        EpisodeKind.EVAL: settings.eval_episodes,
    }
    if not any(counts.values()):
        raise ValueError("the schedule holds no episode: raise episodes or an evaluation's count")
    if max(counts.values()) > EVALUATION_SEEDS or settings.episodes > EVALUATION_SEEDS:
        raise ValueError(f"a run has at most {EVALUATION_SEEDS} episodes of a kind: lower episodes")
    training = (settings.seed + 1) * SEEDS_PER_RUN
    evaluation = training + EVALUATION_SEEDS
    first = {
        EpisodeKind.BASE_EVAL: evaluation,
        EpisodeKind.WARMUP: training,
        EpisodeKind.TRAIN: training + counts[EpisodeKind.WARMUP],
        EpisodeKind.EVAL: evaluation,
    }
    pairs = [(kind, first[kind] + i) for kind, count in counts.items() for i in range(count)]
    return tuple(
        EpisodePlan(number, kind, seed) for number, (kind, seed) in enumerate(pairs, start=1)
    )


class EpisodeMachine:
    """Phases and labels of the episodes of one run.

    The state's `tick` is the first tick not yet executed: an episode that ends at tick k has
    executed start_tick ... k - 1. A full-task episode begins with an approach, which the base
    policy drives until the handover: there the critical phase begins, the only one that is stored.

    Args:
        run: Identifier of the run.
        settings: Schedule and time limit.
        warmup_episodes: Training episodes that the base policy drives.
        chunk: Executed chunk length C; episodes start on its multiples.

    Raises:
        ValueError: If the schedule is impossible.

    Attributes:
        schedule: The planned episodes.
        state: The state of the current episode.
    """

    def __init__(
        self, run: str, settings: ScheduleSettings, warmup_episodes: int, chunk: int
    ) -> None:
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
        self._label_guard = settings.label_guard_ticks
        self._chunk = chunk
        self._ended: dict[int, EpisodeState] = {}
        self._restored = 0
        self._interventions: Counter[int] = Counter()
        self._human_ticks: Counter[int] = Counter()
        self._held_ticks: Counter[int] = Counter()
        self._held = 0  # since the clock of the running time limit began
        self._human_acting = False
        self._driven: bool | None = None
        self._faulted = False

    @property
    def human_acting(self) -> bool:
        """Whether a person decided the newest tick."""
        return self._human_acting

    @property
    def results(self) -> list[EpisodeResult]:
        """Results of all ended episodes, in order, with all corrections."""
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
        """The episode that `next` opens; None if the schedule is done."""
        number = self.state.episode
        return self.schedule[number] if number < len(self.schedule) else None

    def restore(self, results: Iterable[EpisodeResult]) -> None:
        """Go on after the episodes of an earlier process; ticks are counted from 0 again.

        Args:
            results: Its ended episodes, from the first one on.

        Raises:
            ValueError: If they are not those of this schedule.
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
        """Go on to the next scheduled episode, whose reset begins; or finish.

        Raises:
            RuntimeError: If an episode is being reset or runs.
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
        """The reset is done: the episode runs from `start_tick` on.

        Raises:
            RuntimeError: If no episode is being reset.
            ValueError: If the tick is no chunk boundary or lies in the past.
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
        """Note that all ticks before `tick` are executed, and how the task stands then.

        A verdict ends the episode, and so does a time limit: one for the approach, one for the
        critical phase. Its clock stands while the rig holds the robot, and what held it may
        truncate the episode, see `controlled`. Ticks of the past, and ticks outside a running
        episode, change nothing.

        Args:
            tick: First tick not yet executed.
            success: Automatic verdict; False where only people judge.
            failure: Automatic verdict that the task cannot be done any more; success wins.
            critical: Automatic sign that the critical phase is reached: it hands over.

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

    def controlled(
        self, tick: int, episode: int, source: Source, limited: Collection[str]
    ) -> None:
        """Note what the controller did at a tick, where somebody watches it: more than `executed`.

        A hold is time that the rig took, a missing camera, a late policy or a silent device: the
        policy had no say in it, so it does not run the clock of the time limit. An episode that is
        held in sum for as long as its time limit is cut from outside.

        An episode in which a fault held the robot for good goes on, so that a person may end it;
        but its time limit judges nothing: it was cut from outside. So was one that the controller
        never drove.

        Args:
            tick: The tick, not observed as executed yet.
            episode: The episode that the controller drove, 0 if none.
            source: Who decided it.
            limited: What limited it, as `ControlStep.limited` has it.
        """
        self.executed(source)
        state = self.state
        if state.phase is not Phase.RUNNING or tick < state.start_tick:
            return
        driven = episode == state.episode
        self._driven = driven or bool(self._driven)
        self._faulted |= driven and not GUARD_FAULTS.isdisjoint(limited)
        if source is Source.HOLD:
            self._held_ticks[state.episode] += 1
            self._held += tick >= state.critical_tick

    def executed(self, source: Source) -> None:
        """Note who decided an executed tick, to count what a person did in the episode."""
        human = source in PEOPLE
        if human and self.state.phase is Phase.RUNNING:
            number = self.state.episode
            self._human_ticks[number] += 1
            self._interventions[number] += not self._human_acting
        self._human_acting = human

    def label(self, success: bool, episode_id: str = "") -> Reply:
        """A person's verdict.

        Without an id it ends the running episode at the current tick; between an episode's end
        and the next one's first executed tick it labels the ended one. Anything later needs the
        id, and is possible for the last `KEPT_EPISODES` episodes. Within the first ticks of an
        episode (`label_guard_ticks`) a label without an id is refused: a person who judges that
        fast most likely means the episode before. A person's label overrides an automatic one.
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
            return Reply(False, f"episode {number} was discarded: it takes no label")
        elif self._ended[number].end_tick == self._ended[number].start_tick:
            return self._no_tick_yet(number)
        else:
            state = self._revise(number, outcome, "human")
        return Reply(True, f"episode {number} is a {outcome.name.lower()}", state)

    def abort(self, reason: str = "") -> Reply:
        """Cut the running episode at the current tick, without a label: it is truncated."""
        if self.state.phase is not Phase.RUNNING:
            return Reply(False, f"no episode runs (phase {self.state.phase.name}): no abort")
        state = self._end(Outcome.TRUNCATED, "abort")
        because = f": {reason}" if reason else ""
        return Reply(True, f"episode {state.episode} was aborted{because}", state)

    def discard(self, episode_id: str = "") -> Reply:
        """Drop an episode from training, addressed as in `label`; a running one ends."""
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
        and where the actor may drive, it drives from there. Later ones switch between the base
        policy and the actor; the critical phase goes on.
        """
        state = self.state
        if state.phase is not Phase.RUNNING:
            return Reply(False, f"no episode runs (phase {state.phase.name}): no handover")
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
            return Reply(False, f"the {acting.name.lower()} policy drives already")
        self.state = dataclasses.replace(state, acting=acting)
        return Reply(True, f"the {acting.name.lower()} policy drives from now on", self.state)

    def _begin_critical(self) -> EpisodeState:
        """The critical phase begins at the first chunk boundary that is not executed yet."""
        self.state = dataclasses.replace(
            self.state,
            acting=self.state.kind.acting,
            critical=True,
            critical_tick=-(-self.state.tick // self._chunk) * self._chunk,
        )
        self._held = 0
        return self.state

    def _timed_end(self) -> tuple[Outcome, str] | None:
        """How the time limit of the approach, or of the critical phase, ends the episode now."""
        state = self.state
        if state.critical:
            passed, limit = state.tick - state.critical_tick, self._time_limit
        else:
            passed, limit = state.tick - state.start_tick, self._approach_limit
        if self._faulted or self._driven is False:
            return (Outcome.TRUNCATED, "guard_fault") if passed >= limit else None
        if passed - self._held >= limit:
            return self._limit_outcome, "time_limit"
        return (Outcome.TRUNCATED, "held") if self._held >= limit else None

    def _addressed(self, episode_id: str) -> int | Reply:
        """Number of the episode that a request means, or why it cannot be applied to any."""
        number = self._meant(episode_id)
        if isinstance(number, Reply) or number > self._restored:
            return number
        return Reply(
            False,
            f"episode {number} ended before this run was resumed: its records are gone, so it "
            f"stays {self._ended[number].outcome.name.lower()}; the episodes from "
            f"{self._restored + 1} on can be labelled and discarded",
        )

    def _meant(self, episode_id: str) -> int | Reply:
        """Number of the episode that a request means, or why none is meant."""
        steps = self.state.tick - self.state.start_tick
        started = self.state.phase is Phase.RUNNING and steps > 0
        if not episode_id:
            last = self.state.episode - 1
            if started and steps < self._label_guard and last in self._ended:
                return Reply(
                    False,
                    f"episode {self.state.episode} began only {steps} ticks ago, so this may be "
                    f"meant for episode {last}: nothing was applied; name '{self.state.run}/{last}'"
                    f" or '{self.state.run}/{self.state.episode}' as episode_id, or repeat it "
                    "later for the running episode",
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
            f"episode_id {episode_id!r} is no episode of this run so far: expected "
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
