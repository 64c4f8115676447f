"""The health of the episodes node, for `/diagnostics`."""

from __future__ import annotations

from collections.abc import Sequence

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.statistics import judged
from rlt_core.records import EpisodeState, Outcome, Phase
from rlt_node.diagnostics import Health, Level


def episodes_health(
    state: EpisodeState,
    results: Sequence[EpisodeResult],
    waiting_for: str,
    fault: str = "",
    learner: str = "",
) -> Health:
    """Summarise where the run is.

    Args:
        state: The current episode's state.
        results: What became of the ended episodes.
        waiting_for: What has kept the next episode from opening for long; empty if nothing has.
        fault: What the record on the disk waits for; empty if it is complete.
        learner: Why no new weights come; empty if nothing is wrong.
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
    if fault:
        return Health(Level.ERROR, f"the run waits for {fault}", values)
    if waiting_for and state.phase in (Phase.IDLE, Phase.ENDED):
        return Health(Level.WARN, f"waiting for {waiting_for}", values)
    if learner:
        return Health(Level.WARN, learner, values)
    return Health(Level.OK, f"episode {state.episode} is {values['phase']}", values)
