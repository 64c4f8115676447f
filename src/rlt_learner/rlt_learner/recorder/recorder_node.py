"""The recorder: joins features, control steps and episode state into the run's transition log."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlt_core.log.windows import WindowBuilder
from rlt_core.records import INTERRUPTED, EpisodeState, Outcome, Phase, Transition
from rlt_core.settings import setting
from rlt_interfaces.msg import ControlStep, Features, LearnerStatus, Observation, RecorderStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions
from rlt_learner.recorder.commit_queue import CommitQueue, interrupted_end, open_log
from rlt_learner.recorder.duplicate_recorder import DuplicateRecorders
from rlt_learner.recorder.frames import Pictures
from rlt_learner.recorder.message_reader import MessageReader
from rlt_learner.recorder.startup_buffer import StartupBuffer
from rlt_learner.recorder.status import Losses, recorder_health, report_opening
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, transition_to_msg
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Lost

FLUSH_SECONDS = 0.05  # commits that come together share one wait for the disk
RETRY_SECONDS = 1.0
HISTORY_SECONDS = 2.0


@dataclass(frozen=True)
class RecorderSettings:
    """Where the run is kept, and how windows are made."""

    output: str = setting(
        "", "folder of the run, for log.sqlite and frames/; empty: the log is in memory", path=True
    )
    intervention_reference: str = setting(
        "human", "what the reference is where a person acted", choices=("human", "vla")
    )
    late_s: float = setting(
        1.0, "real time: how long an ended episode waits for its last records, s", low=0.0
    )


class RecorderNode(FailFastNode):
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
        self._commits: CommitQueue | None = None
        self._status = RecorderStatus()
        self._learner = LearnerStatus()
        self._identity = f"process {os.getpid()} on {socket.gethostname()}"
        self._states = StartupBuffer()
        self._ended_at = 0.0
        self._retry_at = 0.0
        self._rivals = DuplicateRecorders()
        self._output = Path(self._settings.output) if self._settings.output else None
        say = self.get_logger().error
        self._losses = Losses(self.get_logger())
        self._pictures = Pictures(self._output and self._output / "frames", say)
        self._reader = MessageReader(self._contract, say, strict=self._graph.lockstep)
        self._camera: Any = None
        self._transitions = self.create_publisher(TransitionMessage, "transitions", qos.LOG)
        self._statuses = self.create_publisher(RecorderStatus, "recorder_status", qos.LATEST)
        self.create_subscription(RecorderStatus, "recorder_status", self._on_other, qos.LATEST)
        self.create_subscription(LearnerStatus, "learner_status", self._on_learner, qos.LATEST)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(Features, "features", self._on_features, qos.LOG)
        self.create_subscription(ControlStep, "control_step", self._on_step, qos.LOG)
        self.create_service(GetTransitions, "get_transitions", self._on_request)
        self.create_timer(FLUSH_SECONDS, self._flush)
        if not self._graph.lockstep:
            self.create_timer(0.1, self._close_late)
        Diagnostics(self, self._health)

    def close(self) -> None:
        """Commit what still waits, and close the log.

        Raises:
            Lost: If something could not be committed and is lost.
        """
        self._commit(self._builder.flush())
        self._retry_at = 0.0
        self._flush()
        commits, self._commits = self._commits, None
        if commits is None:
            return
        commits.log.close()
        if commits.waiting:
            raise Lost(f"{commits.waiting} transitions are lost: {commits.fault}")

    # ---- Records in ---------------------------------------------------------------------------

    def _on_episode(self, message: EpisodeMessage) -> None:
        state = episode_from_msg(message)
        if self._commits is None or state.run != self._status.run:
            self._open(state.run)
        for each in self._states.pass_through(state, time.monotonic()):
            self._enter(each)

    def _enter(self, state: EpisodeState) -> None:
        if self._is_history(state):
            return
        if state.phase is Phase.RESETTING:
            self._picture(state)
        elif state.phase is Phase.RUNNING:
            self._start(state)
        elif state.phase is Phase.ENDED:
            self._start(state)  # its first state may have been missed
            if self._builder.remembers(state.episode):
                self._ended_at = time.monotonic()
                self._commit(self._builder.end(state))
                self._save_pictures(state)

    def _is_history(self, state: EpisodeState) -> bool:
        """Whether an episode was closed too long ago, or by an earlier process, to be changed."""
        closed = self._commits.closed_as(state.episode)
        if closed is None or self._builder.remembers(state.episode):
            return False
        corrected = state.outcome is not closed and state.label_source != INTERRUPTED
        if state.phase is Phase.ENDED and corrected:
            self.get_logger().error(
                f"episodes corrected episode {state.episode}, whose records are gone: its "
                "transitions stay as they are; correct an episode sooner"
            )
        return True

    def _start(self, state: EpisodeState) -> None:
        """Open an episode, with what an earlier process has committed of it."""
        unclosed = self._commits.unclosed
        if self._builder.remembers(state.episode) or not unclosed:
            self._commit(self._builder.start(state))
            return
        same = unclosed[0].episode == state.episode
        if same and state.outcome is not Outcome.TRUNCATED and not self._graph.lockstep:
            self._commit(self._builder.start(state, unclosed))
            return
        # What happened after its last window was not seen.
        self._commit([interrupted_end(unclosed)])
        if not same:
            self._commit(self._builder.start(state))

    def _on_features(self, message: Features) -> None:
        features = self._reader.features(message)
        if features is not None:
            self._commit(self._builder.add_features(features))

    def _on_step(self, message: ControlStep) -> None:
        step = self._reader.step(message)
        if step is not None:
            self._commit(self._builder.add_step(step))

    def _close_late(self) -> None:
        """Close an ended episode whose last records no longer come."""
        for state in self._states.due(time.monotonic()):
            self._enter(state)
        if self._ended_at and time.monotonic() - self._ended_at > self._settings.late_s:
            self._ended_at = 0.0
            self._commit(self._builder.flush())

    # ---- Log out ------------------------------------------------------------------------------

    def _open(self, run: str) -> None:
        """Begin the log of a run, or resume it; that of another run is closed."""
        if self._commits is not None:  # records of the first run may have come before its state
            self.close()
            self._builder = WindowBuilder(self._contract, self._settings.intervention_reference)
        log = open_log(self._output, run, self._contract)
        report_opening(log, self.get_logger())
        self._commits = CommitQueue(log)
        self._status = RecorderStatus(run=run, recorder=self._identity, published=len(log))
        self._on_learner(self._learner)
        if not self._graph.lockstep:  # the others did not wait, and another may already record
            self._states.close(until=time.monotonic() + HISTORY_SECONDS)
        self._publish_status()

    def _commit(self, transitions: Iterable[Transition]) -> None:
        """Queue transitions to be committed soon, with an episode's end at once."""
        if self._commits is not None and self._commits.add(transitions):
            self._flush()

    def _flush(self) -> None:
        """Commit what waits, then publish it; after an error, retry only after a second."""
        if self._commits is None or time.monotonic() < self._retry_at:
            return
        self._losses.report(self._commits.not_finite, self._builder.missed)
        before = self._commits.fault
        committed = self._commits.flush()
        for transition in committed:
            self._transitions.publish(transition_to_msg(transition, self._contract, self._hash))
        self._status.published += len(committed)
        if self._commits.fault:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        if bool(self._commits.fault) != bool(before):
            self._report_fault(len(committed))
        begins = bool(committed) and not self._status.begun
        if begins or self._status.episode_seq != self._commits.episode_seq:
            self._publish_status()

    def _report_fault(self, committed: int) -> None:
        if self._commits.fault:
            self.get_logger().error(
                f"{self._commits.fault}; no episode opens until then, and "
                f"{self._commits.waiting} transitions wait"
            )
        else:
            self.get_logger().info(f"the log takes commits again: {committed} caught up")
        self._publish_status()

    def _publish_status(self) -> None:
        commits, status = self._commits, self._status
        status.committed = len(commits.log)
        status.episode, status.episode_seq = commits.episode, commits.episode_seq
        status.human, status.fault = commits.human, commits.fault
        status.begun = commits.begun > 0
        self._statuses.publish(status)

    def _on_other(self, message: RecorderStatus) -> None:
        """Give way to a recorder of the same run, or log that there is one, wherever it runs."""
        if self._commits is not None and (fault := self._rivals.note(self._status, message)):
            self.get_logger().error(fault)
            self._publish_status()

    def _on_learner(self, message: LearnerStatus) -> None:
        """Refuse to run beside a learner that has received more than the log holds."""
        self._learner = message
        if self._commits is not None and message.run == self._status.run:
            self._commits.require(message.received)

    def _on_request(
        self, request: GetTransitions.Request, response: GetTransitions.Response
    ) -> GetTransitions.Response:
        committed = len(self._commits.log) if self._commits else 0
        if self._commits is None or request.run != self._status.run or request.first_seq < 1:
            response.message = (
                f"no commit {request.first_seq} of run {request.run!r}: this recorder serves run "
                f"{self._status.run!r} from 1 to {committed}"
            )
            return response
        count = min(request.count, GetTransitions.Request.MAX_PAGE)
        try:
            page = self._commits.log.page(request.first_seq, count)
        except ValueError as error:
            response.message = str(error)
            return response
        response.transitions = [
            transition_to_msg(transition, self._contract, self._hash) for transition in page
        ]
        response.committed = committed
        response.success = True
        return response

    def _health(self) -> Health:
        if self._commits is None:
            return Health(Level.OK, "waiting for the first episode")
        return recorder_health(
            self._status, self._commits, self._output, self._reader.dropped, self._builder.missed
        )

    # ---- Pictures -----------------------------------------------------------------------------

    def _picture(self, state: EpisodeState) -> None:
        if self._pictures.begin(state):
            self._camera = self.create_subscription(
                Observation, "observation", self._on_observation, qos.BARRIER
            )

    def _on_observation(self, message: Observation) -> None:
        observation = self._reader.observation(message)
        if observation is not None:
            self._pictures.add(observation)

    def _save_pictures(self, state: EpisodeState) -> None:
        if self._pictures.end(state):
            self.destroy_subscription(self._camera)
