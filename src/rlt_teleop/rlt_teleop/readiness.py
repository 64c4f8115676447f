"""Whether everybody has done with an episode, so that the next one can open."""

from __future__ import annotations

from rlt_core.records import EpisodeState
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus


def waiting_for_learning(
    state: EpisodeState,
    policy: PolicyInfo,
    recorder: RecorderStatus | None,
    learner: LearnerStatus | None,
) -> str:
    """What keeps a training run from opening its next episode; empty if nothing does.

    The next episode opens when the recorder has closed the last one, the learner has taken it in
    and run its updates, and the policy acts with the learner's weights. A paused learner is not
    waited for: collection goes on.
    """
    if recorder is None or recorder.run != state.run:
        return "the recorder to start"
    if learner is None or learner.run != state.run:
        return "the learner to start"
    if recorder.episode < state.episode:
        return "the recorder to close the episode"
    behind = learner.ingested_seq < recorder.episode_seq or learner.updates_owed >= 1
    if behind and learner.learning:
        return "the learner to run its updates"
    if policy.policy_version != learner.policy_version:
        return "the policy to take the new weights"
    return ""
