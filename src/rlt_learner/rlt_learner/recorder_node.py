"""The recorder: joins features, control steps and episode state into the run's transition log."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlt_core.contract import ContractMismatch
from rlt_core.log import TransitionLog
from rlt_core.records import Commit, EpisodeKind, EpisodeState, Phase, Transition
from rlt_core.settings import setting
from rlt_core.windows import WindowBuilder
from rlt_interfaces.msg import (
    ControlStep,
    Features,
    Observation,
    RecorderStatus,
)
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions
from rlt_learner.frames import FrameStrip
from rlt_node import qos
from rlt_node.conversions import (
    episode_from_msg,
    features_from_msg,
    observation_from_msg,
    step_from_msg,
    transition_to_msg,
)
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.parameters import declare, refuse_unknown

REPEAT_SECONDS = 2.0
PICTURED = (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)


@dataclass(frozen=True)
class RecorderSettings:
    """How windows are made, and where pictures go."""

    output: str = setting("", "folder of the run, for frames/; empty: no pictures")
    intervention_reference: str = setting(
        "human", "what the reference is where a person acted", choices=("human", "vla")
    )
    late_s: float = setting(
        1.0, "real time: how long an ended episode waits for its last records, s", low=0.0
    )


class RecorderNode(GuardedNode):
    """Feeds the `WindowBuilder`, commits what it yields, publishes what was committed."""

    def __init__(self) -> None:
        """Connect; the log begins with the first episode state."""
        super().__init__("recorder")
        self._graph = declare(self, GraphSettings, without=("silence_s",))
        self._settings = declare(self, RecorderSettings)
        refuse_unknown(self)
        self._contract = self._graph.contract()
        self._hash = self._contract.hash()
        self._builder = WindowBuilder(self._contract, self._settings.intervention_reference)
        self._log: TransitionLog | None = None
        self._status = RecorderStatus()
        self._ended_at = 0.0
        self._pictured: set[EpisodeKind] = set()
        self._strip: FrameStrip | None = None
        self._strip_episode = 0
        self._camera: Any = None
        self._transitions = self.create_publisher(TransitionMessage, "transitions", qos.LOG)
        self._statuses = self.create_publisher(RecorderStatus, "recorder_status", qos.LATCHED)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(Features, "features", self._on_features, qos.LOG)
        self.create_subscription(ControlStep, "control_step", self._on_step, qos.LOG)
        self.create_service(GetTransitions, "get_transitions", self._on_request)
        if not self._graph.lockstep:
            self.create_timer(0.1, self._close_late)

    # ---- Records in ---------------------------------------------------------------------------

    def _on_episode(self, message: EpisodeMessage) -> None:
        state = episode_from_msg(message)
        if self._log is None or state.run != self._status.run:
            self._open(state.run)
        if state.phase is Phase.RESETTING:
            self._picture(state)
        elif state.phase is Phase.RUNNING:
            self._commit(self._builder.start(state))
        elif state.phase is Phase.ENDED:
            self._end(state)
            self._save_pictures(state)

    def _end(self, state: EpisodeState) -> None:
        """End an episode, or correct it: the newest verdict counts."""
        self._commit(self._builder.start(state))  # its first state may have been missed
        if not self._builder.remembers(state.episode):
            self.get_logger().error(
                f"episodes corrected episode {state.episode}, whose records are gone: its "
                "transitions stay as they are; correct an episode sooner"
            )
            return
        self._ended_at = time.monotonic()
        self._commit(self._builder.end(state))

    def _on_features(self, message: Features) -> None:
        try:
            self._contract.require(message.contract_hash, "the policy")
        except ContractMismatch as error:
            if self._graph.lockstep:
                raise
            self.get_logger().error(
                f"features: {error}", throttle_duration_sec=REPEAT_SECONDS
            )
            return
        self._commit(self._builder.add_features(features_from_msg(message)))

    def _on_step(self, message: ControlStep) -> None:
        self._commit(self._builder.add_step(step_from_msg(message)))

    def _close_late(self) -> None:
        """Close an ended episode whose last records do not come any more."""
        if self._ended_at and time.monotonic() - self._ended_at > self._settings.late_s:
            self._ended_at = 0.0
            self._commit(self._builder.flush())

    # ---- Log out ------------------------------------------------------------------------------

    def _open(self, run: str) -> None:
        self._log = TransitionLog(run)
        self._builder = WindowBuilder(self._contract, self._settings.intervention_reference)
        self._status = RecorderStatus(run=run)
        self._statuses.publish(self._status)

    def _commit(self, transitions: Iterable[Transition]) -> None:
        for transition in transitions:
            if self._log is None:
                return
            committed = self._log.commit(transition)
            self._transitions.publish(transition_to_msg(committed, self._contract, self._hash))
            self._status.committed = committed.seq
            self._status.published += 1
            if committed.commit is Commit.EPISODE_END:
                self._status.episode = max(self._status.episode, committed.episode)
                self._status.episode_seq = committed.seq
                self._statuses.publish(self._status)

    def _on_request(
        self, request: GetTransitions.Request, response: GetTransitions.Response
    ) -> GetTransitions.Response:
        if self._log is None or request.run != self._status.run or request.first_seq < 1:
            response.message = (
                f"no commit {request.first_seq} of run {request.run!r}: this recorder serves run "
                f"{self._status.run!r} from 1 to {self._status.committed}"
            )
            return response
        count = min(request.count, GetTransitions.Request.MAX_PAGE)
        page = self._log.page(request.first_seq, count)
        response.transitions = [
            transition_to_msg(transition, self._contract, self._hash) for transition in page
        ]
        response.committed = self._status.committed
        response.success = True
        return response

    # ---- Pictures -----------------------------------------------------------------------------

    def _picture(self, state: EpisodeState) -> None:
        """Watch the first episode of each evaluation."""
        if not self._settings.output or state.kind not in PICTURED or state.kind in self._pictured:
            return
        self._pictured.add(state.kind)
        self._strip_episode = state.episode
        self._strip = FrameStrip(Path(self._settings.output) / "frames", state.kind.name.lower())
        self._camera = self.create_subscription(
            Observation, "observation", self._on_observation, qos.BARRIER
        )

    def _on_observation(self, message: Observation) -> None:
        if self._strip is not None:
            self._strip.add(observation_from_msg(message))

    def _save_pictures(self, state: EpisodeState) -> None:
        if self._strip is not None and state.episode == self._strip_episode:
            self._strip.save(state.start_tick)
            self._strip = None
            self.destroy_subscription(self._camera)
