"""What is shown to the person: one line per change of the episode and of who drives."""

from __future__ import annotations

from rlt_core.records import PEOPLE, EpisodeKind, EpisodeState, Phase, Source

KINDS = {
    EpisodeKind.UNKNOWN: "unknown kind",
    EpisodeKind.BASE_EVAL: "evaluation of the base policy",
    EpisodeKind.WARMUP: "warm-up",
    EpisodeKind.TRAIN: "training",
    EpisodeKind.EVAL: "evaluation",
}
DRIVERS = {
    Source.BASE: "the base policy drives",
    Source.ACTOR: "the actor drives",
    Source.HUMAN: "you drive",
    Source.BLEND: "you drive",
}


def is_correction(current: EpisodeState | None, state: EpisodeState) -> bool:
    """Whether a state only corrects an earlier episode of the run that `current` belongs to.

    The current episode then continues. An earlier episode that has not ended is not a correction:
    it belongs to a new run of the same name.
    """
    return (
        current is not None
        and state.run == current.run
        and state.episode < current.episode
        and state.phase is Phase.ENDED
    )


def episode_line(before: EpisodeState | None, after: EpisodeState) -> str:
    """What changed from one state of the episode to the next; empty if nothing relevant."""
    name = f"episode {after.episode} ({KINDS[after.kind]})"
    same = before is not None and (before.run, before.episode) == (after.run, after.episode)
    if not same or before is None or before.phase is not after.phase:
        if after.phase is Phase.RESETTING:
            return f"{name}: the robot is being reset"
        if after.phase is Phase.RUNNING:
            return f"{name} runs: {DRIVERS[after.acting]}"
        if after.phase is Phase.FINISHED:
            return "the run is finished"
    ended = after.phase is Phase.ENDED
    if ended and (not same or before is None or _verdict(before) != _verdict(after)):
        outcome, judge = _verdict(after)
        return f"{name}: {outcome} ({judge})"
    if same and before is not None and after.phase is Phase.RUNNING:
        if before.acting is not after.acting:
            return f"{name}: {DRIVERS[after.acting]} from now on"
        if after.critical and not before.critical:
            return f"{name}: the critical phase begins"
    return ""


def takeover_line(before: Source, after: Source) -> str:
    """The line if a person began or stopped driving from one tick to the next; else empty."""
    if (before in PEOPLE) == (after in PEOPLE):
        return ""
    if after in PEOPLE:
        return "takeover begins: you drive"
    return f"takeover ends: {DRIVERS.get(after, 'the robot holds')}"


def status_line(takeover: bool, state: EpisodeState | None, answer: str, width: int) -> str:
    """One line for a terminal of this width: takeover, episode, last answer."""
    mode = "TAKEOVER" if takeover else "takeover off"
    if state is None or not state.episode:
        where = "no episode yet"
    else:
        where = f"episode {state.episode} {KINDS[state.kind]} {state.phase.name.lower()}"
        if state.phase is Phase.RUNNING:
            where += f", {DRIVERS[state.acting].removesuffix(' drives').removeprefix('the ')}"
    return " | ".join(part for part in (mode, where, answer) if part)[: max(width - 1, 20)]


def _verdict(state: EpisodeState) -> tuple[str, str]:
    """Outcome and judge of an ended episode."""
    outcome = state.outcome.name.lower() if state.outcome else "no outcome"
    return outcome, (state.label_source or "nobody").replace("_", " ")
