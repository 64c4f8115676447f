"""How the human side is, for `/diagnostics`: the episodes and the operator's device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlt_core.episodes import EpisodeResult
from rlt_core.records import EpisodeState, Outcome, Phase, Source
from rlt_core.statistics import judged
from rlt_node.diagnostics import Health, Level


def episodes_health(
    state: EpisodeState,
    results: Sequence[EpisodeResult],
    waiting_for: str,
    trouble: str = "",
    learner: str = "",
) -> Health:
    """Where the run is.

    Args:
        state: The current episode's state.
        results: What became of the ended episodes.
        waiting_for: What has kept the next episode from opening for long; empty if nothing has.
        trouble: What the record on the disk lacks; empty if it is whole.
        learner: Why no better weights come; empty if nothing is wrong.
    """
    counted = judged(results)
    values = {
        "episode": state.episode,
        "kind": state.kind.name.lower(),
        "phase": state.phase.name.lower(),
        "acting": state.acting.name.lower(),
        "critical": state.critical,
        "ended": len(results),
        "not_counted": len(results) - len(counted),
        "successes": sum(result.outcome is Outcome.SUCCESS for result in counted),
        "takeovers": sum(result.interventions for result in results),
        "human_ticks": sum(result.human_ticks for result in results),
    }
    if trouble:
        return Health(Level.ERROR, f"the run waits for {trouble}", values)
    if waiting_for and state.phase in (Phase.IDLE, Phase.ENDED):
        return Health(Level.WARN, f"waiting for {waiting_for}", values)
    if learner:
        return Health(Level.WARN, learner, values)
    return Health(Level.OK, f"episode {state.episode} is {values['phase']}", values)


def operator_health(
    fault: str, takeover: bool, source: Source, joy: Mapping[str, float]
) -> Health:
    """What the person can do now.

    Args:
        fault: Why the device cannot be used, empty if it can.
        takeover: Whether the takeover button is held.
        source: Who decided the newest control step.
        joy: Rate of the device's messages, as `rlt_core.rates.Rate.summary` has it.
    """
    values = {"takeover": takeover, "acting": source.name.lower(), "device_fault": fault, **joy}
    if fault and takeover:
        return Health(Level.ERROR, f"takeover without a usable device: {fault}", values)
    if fault:
        return Health(Level.WARN, f"no takeover is possible now: {fault}", values)
    return Health(Level.OK, "takeover" if takeover else "ready for a takeover", values)
