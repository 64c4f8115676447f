"""The recorder: joins features, control steps and episode state into the run's transition log."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlt_core.records import INTERRUPTED, EpisodeState, Outcome, Phase, Transition
from rlt_core.settings import setting
from rlt_core.windows import WindowBuilder
from rlt_interfaces.msg import ControlStep, Features, LearnerStatus, Observation, RecorderStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions
from rlt_learner.frames import Pictures
from rlt_learner.inlet import Inlet
from rlt_learner.ledger import Ledger, interrupted_end, open_log
from rlt_learner.rivals import Rivals
from rlt_learner.status import Losses, opening_news, recorder_health
from rlt_learner.waiting_room import WaitingRoom
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, transition_to_msg
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings
from rlt_node.node import GuardedNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Lost

FLUSH_SECONDS = 0.05  # commits that come together wait for the disk together
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
        self._ledger: Ledger | None = None
        self._status = RecorderStatus()
        self._learner = LearnerStatus()
        self._identity = f"process {os.getpid()} on {socket.gethostname()}"
        self._states = WaitingRoom()
        self._ended_at = 0.0
        self._retry_at = 0.0
        self._rivals = Rivals()
        self._output = Path(self._settings.output) if self._settings.output else None
        say = self.get_logger().error
        self._losses = Losses(self.get_logger())
        self._pictures = Pictures(self._output and self._output / "frames", say)
        self._inlet = Inlet(self._contract, say, strict=self._graph.lockstep)
        self._camera: Any = None
        self._transitions = self.create_publisher(TransitionMessage, "transitions", qos.LOG)
        self._statuses = self.create_publisher(RecorderStatus, "recorder_status", qos.LATCHED)
        self.create_subscription(RecorderStatus, "recorder_status", self._on_other, qos.LATCHED)
        self.create_subscription(LearnerStatus, "learner_status", self._on_learner, qos.LATCHED)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(Features, "features", self._on_features, qos.LOG)
        self.create_subscription(ControlStep, "control_step", self._on_step, qos.LOG)
        self.create_service(GetTransitions, "get_transitions", self._on_request)
        self.create_timer(FLUSH_SECONDS, self._flush)
        if not self._graph.lockstep:
            self.create_timer(0.1, self._close_late)
        Diagnostics(self, self._health)

    def close(self) -> None:
        """Commit what still waits, and let the log go.

        Raises:
            Lost: If something could not be committed and is lost.
        """
        self._commit(self._builder.flush())
        self._retry_at = 0.0
        self._flush()
        ledger, self._ledger = self._ledger, None
        if ledger is None:
            return
        ledger.log.close()
        if ledger.waiting:
            raise Lost(f"{ledger.waiting} transitions are lost: {ledger.trouble}")

    # ---- Records in ---------------------------------------------------------------------------

    def _on_episode(self, message: EpisodeMessage) -> None:
        state = episode_from_msg(message)
        if self._ledger is None or state.run != self._status.run:
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
        """Whether an episode was closed so long ago, or by a process before, that it stays so."""
        closed = self._ledger.closed_as(state.episode)
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
        unclosed = self._ledger.unclosed
        if self._builder.remembers(state.episode) or not unclosed:
            self._commit(self._builder.start(state))
            return
        same = unclosed[0].episode == state.episode
        if same and state.outcome is not Outcome.TRUNCATED and not self._graph.lockstep:
            self._commit(self._builder.start(state, unclosed))
            return
        # Whatever happened after its last window, nobody saw it.
        self._commit([interrupted_end(unclosed)])
        if not same:
            self._commit(self._builder.start(state))

    def _on_features(self, message: Features) -> None:
        features = self._inlet.features(message)
        if features is not None:
            self._commit(self._builder.add_features(features))

    def _on_step(self, message: ControlStep) -> None:
        step = self._inlet.step(message)
        if step is not None:
            self._commit(self._builder.add_step(step))

    def _close_late(self) -> None:
        """Close an ended episode whose last records do not come any more."""
        for state in self._states.due(time.monotonic()):
            self._enter(state)
        if self._ended_at and time.monotonic() - self._ended_at > self._settings.late_s:
            self._ended_at = 0.0
            self._commit(self._builder.flush())

    # ---- Log out ------------------------------------------------------------------------------

    def _open(self, run: str) -> None:
        """Begin the log of a run, or go on with it; what was there of another one is closed."""
        if self._ledger is not None:  # records of the first run may have come before its state
            self.close()
            self._builder = WindowBuilder(self._contract, self._settings.intervention_reference)
        log = open_log(self._output, run, self._contract)
        opening_news(log, self.get_logger())
        self._ledger = Ledger(log)
        self._status = RecorderStatus(run=run, recorder=self._identity, published=len(log))
        self._on_learner(self._learner)
        if not self._graph.lockstep:  # the others did not wait, and one may record already
            self._states.close(until=time.monotonic() + HISTORY_SECONDS)
        self._tell()

    def _commit(self, transitions: Iterable[Transition]) -> None:
        """Have transitions committed soon, with an episode's end at once."""
        if self._ledger is not None and self._ledger.add(transitions):
            self._flush()

    def _flush(self) -> None:
        """Commit what waits, then publish it; after a failure not before a second has passed."""
        if self._ledger is None or time.monotonic() < self._retry_at:
            return
        self._losses.tell(self._ledger.refused, self._builder.missed)
        before = self._ledger.trouble
        committed = self._ledger.flush()
        for transition in committed:
            self._transitions.publish(transition_to_msg(transition, self._contract, self._hash))
        self._status.published += len(committed)
        if self._ledger.trouble:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        if bool(self._ledger.trouble) != bool(before):
            self._say_trouble(len(committed))
        begins = bool(committed) and not self._status.begun
        if begins or self._status.episode_seq != self._ledger.episode_seq:
            self._tell()

    def _say_trouble(self, committed: int) -> None:
        if self._ledger.trouble:
            self.get_logger().error(
                f"{self._ledger.trouble}; no episode opens until then, and {self._ledger.waiting} "
                "transitions wait"
            )
        else:
            self.get_logger().info(f"the log takes commits again: {committed} made up for")
        self._tell()

    def _tell(self) -> None:
        ledger, status = self._ledger, self._status
        status.committed = len(ledger.log)
        status.episode, status.episode_seq = ledger.episode, ledger.episode_seq
        status.human, status.trouble = ledger.human, ledger.trouble
        status.begun = ledger.begun > 0
        self._statuses.publish(status)

    def _on_other(self, message: RecorderStatus) -> None:
        """Give way to a recorder of the same run, or say that there is one, wherever it runs."""
        if self._ledger is not None and (problem := self._rivals.hear(self._status, message)):
            self.get_logger().error(problem)
            self._tell()

    def _on_learner(self, message: LearnerStatus) -> None:
        """Refuse to go on beside a learner that has more than the log."""
        self._learner = message
        if self._ledger is not None and message.run == self._status.run:
            self._ledger.require(message.received)

    def _on_request(
        self, request: GetTransitions.Request, response: GetTransitions.Response
    ) -> GetTransitions.Response:
        committed = len(self._ledger.log) if self._ledger else 0
        if self._ledger is None or request.run != self._status.run or request.first_seq < 1:
            response.message = (
                f"no commit {request.first_seq} of run {request.run!r}: this recorder serves run "
                f"{self._status.run!r} from 1 to {committed}"
            )
            return response
        count = min(request.count, GetTransitions.Request.MAX_PAGE)
        try:
            page = self._ledger.log.page(request.first_seq, count)
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
        if self._ledger is None:
            return Health(Level.OK, "waits for the first episode")
        return recorder_health(
            self._status, self._ledger, self._output, self._inlet.dropped, self._builder.missed
        )

    # ---- Pictures -----------------------------------------------------------------------------

    def _picture(self, state: EpisodeState) -> None:
        if self._pictures.begin(state):
            self._camera = self.create_subscription(
                Observation, "observation", self._on_observation, qos.BARRIER
            )

    def _on_observation(self, message: Observation) -> None:
        observation = self._inlet.observation(message)
        if observation is not None:
            self._pictures.add(observation)

    def _save_pictures(self, state: EpisodeState) -> None:
        if self._pictures.end(state):
            self.destroy_subscription(self._camera)
