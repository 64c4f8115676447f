"""Whether everybody has done with an episode, so that the next one can open."""

from __future__ import annotations

from rlt_core.episodes import EpisodePlan
from rlt_core.records import EpisodeState, Source
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus

PATIENCE_SECONDS = 10.0
LAST_COUNTS = "the learner to take in the last episode"


class Patience:
    """Tells when what a run waits for has lasted so long that a person should know.

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
    taken it in and run its updates, and the policy acts with the learner's weights. In real time
    a robot does not wait for its learner: only for the recorder, for the first weights before the
    actor shall act, and when the run is over for the learner's last counts, but not for long. The
    recorder is waited for until it has committed everything.

    Args:
        state: The last episode's state.
        upcoming: The episode that would open, None if the run would end.
        policy: What the policy said last.
        recorder: What the recorder said last, None before its first word.
        learner: What the learner said last, None before its first word.
        lockstep: Whether the graph waits for every node.
        lasting: What has been waited for long, as `Patience` has it.
    """
    if recorder is None or recorder.run != state.run:
        return "the recorder to start"
    if recorder.trouble:
        return (
            f"the recorder, which cannot commit: {recorder.trouble}; Ctrl-C would end the run "
            "without what waits there"
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
    """What the learner, or the policy with its weights, has still to do."""
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
