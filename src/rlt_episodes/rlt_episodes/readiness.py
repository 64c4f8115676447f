"""Whether every node is done with an episode, so that the next one can open."""

from __future__ import annotations

from rlt_core.episodes.schedule import EpisodePlan
from rlt_core.records import EpisodeState, Source
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus

PATIENCE_SECONDS = 10.0
LAST_COUNTS = "the learner to ingest the last episode"


class Patience:
    """Detects a wait that has lasted so long that a person should know.

    Attributes:
        lasting: What has been waited for longer than `PATIENCE_SECONDS`, empty if nothing has.
    """

    def __init__(self) -> None:
        """Wait for nothing."""
        self.lasting = ""
        self._reason = ""
        self._since = 0.0

    def wait(self, reason: str, now: float) -> bool:
        """Note what is waited for (empty: nothing); True once, when it has lasted too long."""
        if reason != self._reason:
            self._reason, self._since, self.lasting = reason, now, ""
        if not reason or self.lasting or now - self._since <= PATIENCE_SECONDS:
            return False
        self.lasting = reason
        return True


def waiting_for_learning(
    state: EpisodeState,
    upcoming: EpisodePlan | None,
    policy: PolicyInfo,
    recorder: RecorderStatus | None,
    learner: LearnerStatus | None,
    lockstep: bool,
    lasting: str,
) -> str:
    """What keeps a training run from opening its next episode; empty if nothing does.

    In lockstep the next episode opens when the recorder has closed the last one, the learner has
    ingested it and run its updates, and the policy acts with the learner's weights. In real time
    a robot does not wait for its learner, except for the first weights before the actor must act,
    and for a short time at the end of the run for the learner's last counts. In both modes it
    waits until the recorder has committed everything.

    Args:
        state: The last episode's state.
        upcoming: The episode that would open, None if the run would end.
        policy: The policy's last message.
        recorder: The recorder's last status, None before the first.
        learner: The learner's last status, None before the first.
        lockstep: Whether the graph waits for every node.
        lasting: What has been waited for long, as in `Patience`.
    """
    if recorder is None or recorder.run != state.run:
        return "the recorder to start"
    if recorder.fault:
        return (
            f"the recorder, which cannot commit: {recorder.fault}; Ctrl-C would end the run "
            "without the transitions that wait there"
        )
    if recorder.episode < state.episode:
        return "the recorder to close the episode"
    known = learner if learner is not None and learner.run == state.run else None
    behind = known is not None and known.ingested_seq < recorder.episode_seq
    if lockstep:
        reason = _waiting_for_learner(behind, policy, known)
        if reason:
            return reason
    elif upcoming is None and known is not None and known.received < recorder.episode_seq:
        return "" if lasting == LAST_COUNTS else LAST_COUNTS
    if upcoming is not None and upcoming.kind.acting is Source.ACTOR and not policy.policy_version:
        return "the learner to give the policy its first weights"
    return ""


def _waiting_for_learner(behind: bool, policy: PolicyInfo, learner: LearnerStatus | None) -> str:
    """What the learner, or the policy with its weights, still has to do."""
    if learner is None:
        return "the learner to start"
    if behind or learner.updates_owed >= 1:
        if learner.learning:
            return "the learner to run its updates"
        return (
            "the learner, which is paused or not active: resume it with the service "
            "pause_learning, {pause: false}, or activate the node"
        )
    if policy.policy_version != learner.policy_version:
        return "the policy to take the new weights"
    return ""
