"""One robot's connection to the learner: its commits come in, weights and status go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlt_core.contract import Contract
from rlt_core.log.packing import Packing
from rlt_core.records import EpisodeState, Phase, Transition
from rlt_core.rl.trainer import TrainerStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import LearnerStatus, PolicyWeights, RecorderStatus
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions
from rlt_learner.learner.catch_up import CatchUp
from rlt_learner.learner.commit_requests import CommitRequests
from rlt_learner.learner.run_registry import RunRegistry, TooEarly
from rlt_learner.learner.status import learner_status
from rlt_learner.learner.worker import Worker
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, octets, transition_from_msg

REPEAT_SECONDS = 2.0


class RobotLink:
    """Ingests what one robot commits, exactly once, and publishes to it what was learnt.

    A restarted recorder could have another log than the previous one: a backup, another folder.
    Before anything more is taken from it, it must show the newest commit that was received. What
    cannot be learnt from is refused: in lockstep this ends the run; in real time it is logged, the
    other robots continue, and this one keeps acting.

    Attributes:
        robot: Namespace of the robot.
        run: Run of the robot, empty before it is known, or while it is refused.
        rejection: Why nothing is taken from the robot, empty if all is well.
    """

    def __init__(
        self,
        node: Any,
        robot: str,
        contract: Contract,
        registry: RunRegistry,
        worker: Worker,
        on_begin: Callable[[RobotLink], None],
        on_end: Callable[[str, EpisodeState], None],
        lockstep: bool,
    ) -> None:
        """Connect.

        Args:
            node: A `FailFastNode`.
            robot: Namespace of the robot's nodes; empty: the node's own.
            contract: The run's contract.
            registry: Decides which run may begin.
            worker: Takes the commits.
            on_begin: Called in the worker's thread when a run has begun.
            on_end: Called in the worker's thread with `robot` as it was given, and the state of
                an ended episode.
            lockstep: Whether the graph waits for every node.
        """
        prefix = f"{robot}/" if robot else ""
        whole: str = node.resolve_topic_name(f"{prefix}transitions")
        self.robot = whole.rpartition("/")[0] or "/"
        self.run = ""
        self.rejection = ""
        self._node, self._name = node, robot
        self._contract, self._hash, self._packing = contract, contract.hash(), Packing(contract)
        self._registry, self._worker = registry, worker
        self._on_begin, self._on_end, self._lockstep = on_begin, on_end, lockstep
        self._sequence = CommitRequests()
        self._newest: Transition | None = None
        self._doubted = False
        self._too_early = ""
        self._recorder = RecorderStatus()
        self._weights = node.create_publisher(PolicyWeights, f"{prefix}policy_weights", qos.LATEST)
        self._statuses = node.create_publisher(
            LearnerStatus, f"{prefix}learner_status", qos.LATEST
        )
        self._subscriptions = [
            node.create_subscription(kind, f"{prefix}{topic}", callback, profile)
            for kind, topic, callback, profile in (
                (TransitionMessage, "transitions", self._on_transition, qos.LOG),
                (EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER),
                (RecorderStatus, "recorder_status", self._on_recorder, qos.LATEST),
            )
        ]
        self._catch_up = CatchUp(node, f"{prefix}get_transitions")

    @property
    def missing(self) -> int:
        """Commits of the run that are known to exist and have not been taken."""
        return self._sequence.missing

    def close(self) -> None:
        """Disconnect."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._catch_up.close()
        self._node.destroy_publisher(self._weights)
        self._node.destroy_publisher(self._statuses)

    # ---- Out, from the worker's thread --------------------------------------------------------

    def offer(self, version: int, data: bytes, sha256: str) -> None:
        """Publish weights for the robot's policy, once it has a run that is learnt from."""
        if self.run and not self.rejection:
            self._weights.publish(
                PolicyWeights(
                    run=self.run, version=version, contract_hash=self._hash, sha256=sha256,
                    data=octets(data),
                )
            )

    def publish(self, status: TrainerStatus, learning: bool) -> None:
        """Publish the status of the robot's run."""
        message = learner_status(self.run, self._hash, status, self._sequence, learning)
        message.fault = message.fault or self.rejection
        self._statuses.publish(message)

    def reject(self, reason: str) -> None:
        """Take nothing more from the robot until its recorder or its run changes; log why.

        Raises:
            ValueError: In lockstep, with the reason.
        """
        if self._lockstep:
            raise ValueError(reason)
        if reason != self.rejection:
            self._node.get_logger().error(f"nothing is learnt from robot {self.robot}: {reason}")
            self.rejection = reason
            self._worker.report()

    # ---- In -----------------------------------------------------------------------------------

    def _on_episode(self, message: EpisodeMessage) -> None:
        if message.run != self.run:
            self._begin(message.run)
        if message.run == self.run and message.phase == Phase.ENDED:
            state = episode_from_msg(message)
            self._worker.submit(lambda: self._on_end(self._name, state))

    def _begin(self, run: str) -> None:
        """Take the commits of this run from now on."""
        waited = self._too_early == run
        self.run, self._newest, self._doubted, self._too_early = "", None, False, ""
        try:
            self._sequence = self._registry.admit(run, self.robot)
        except ValueError as error:
            self._too_early = run if isinstance(error, TooEarly) else ""
            self.reject(str(error))
            return
        self.run, self.rejection = run, ""
        if waited:
            self._node.get_logger().info(f"learning from robot {self.robot} now: run {run!r}")
        self._on_recorder(self._recorder)  # which may have come first
        self._worker.submit(lambda: self._on_begin(self))

    def _on_recorder(self, message: RecorderStatus) -> None:
        """Note how far the log reaches; request a proof if it may be another log."""
        before, self._recorder = self._recorder, message
        refused = self.rejection and self._too_early in ("", message.run)
        if message.run and not (self.run or refused or self._lockstep):
            self._begin(message.run)  # between two episodes nothing else reports it for long
            return
        if message.run != self.run:
            return
        other = before.recorder != message.recorder and before.run == message.run
        if self._newest is not None and (other or message.committed < self._newest.seq):
            self._doubted = True
            self.watch()
            return
        if other:
            self.rejection = ""  # it may have what the previous one lacked
        if not self._doubted and not self.rejection:
            self._sequence.note_known(message.committed)

    def _on_transition(self, message: TransitionMessage) -> None:
        if message.run != self.run or self._doubted or self.rejection:
            return  # the recorder has it
        try:
            self._take(message)
        except ValueError as error:
            if self._lockstep:
                raise
            self._node.get_logger().error(
                f"{error}; it is requested again", throttle_duration_sec=REPEAT_SECONDS
            )

    def _take(self, message: TransitionMessage) -> None:
        """Ingest a commit, once.

        Raises:
            ValueError: If it is of another contract or malformed.
        """
        transition = self._read(message)
        if self._sequence.take(message.seq, self._folded()):
            if self._newest is None or message.seq > self._newest.seq:
                self._newest = transition
            self._worker.submit(transition)

    def _read(self, message: TransitionMessage) -> Transition:
        try:
            self._contract.require(message.contract_hash, "the recorder")
            transition = transition_from_msg(message)
            self._packing.require(transition)
        except ValueError as error:
            raise ValueError(f"transitions: commit {message.seq}: {error}") from error
        return transition

    # ---- What was missed ----------------------------------------------------------------------

    def watch(self) -> None:
        """Request from the recorder what is missing, or the proof of its log; call it often.

        A run that came too early is tried again: one that the checkpoint knows may be here now.
        """
        if self._too_early:
            self._begin(self._too_early)
        if self._doubted and self._newest is not None:
            self._ask(self._newest.seq, 1, self._judge)
        elif self.run and not self.rejection and self._sequence.overdue(self._folded()):
            self._ask_for_missing()

    def _ask_for_missing(self) -> None:
        first, count = self._sequence.page(self._folded(), self._catch_up.largest)
        if count:
            self._ask(first, count, self._on_page)

    def _ask(self, first: int, count: int, take: Callable[[GetTransitions.Response], None]) -> None:
        run = self.run

        def on_page(page: GetTransitions.Response) -> None:
            if run == self.run:
                take(page)

        self._catch_up.ask(run, first, count, on_page)

    def _on_page(self, page: GetTransitions.Response) -> None:
        if self._doubted or self.rejection:
            return
        self._worker.require_log(self.run, page.committed)
        try:
            for message in page.transitions:
                self._take(message)
        except ValueError as error:
            self.reject(str(error))
        if page.transitions and not self.rejection:
            self._ask_for_missing()

    def _judge(self, page: GetTransitions.Response) -> None:
        """Compare what the recorder serves with the newest commit that was received.

        All that was received had been committed before the page was requested.
        """
        newest, self._doubted = self._newest, False
        if newest is None:
            return
        if page.committed < newest.seq:
            reason = f"ends at commit {page.committed}, but {newest.seq} was received"
        elif not any(self._is(newest, message) for message in page.transitions[:1]):
            reason = f"holds another commit {newest.seq} than the one that was received"
        else:
            self._trust(page.committed)
            return
        self.reject(
            f"the log of run {self.run!r} went back: that of the recorder "
            f"({self._recorder.recorder}) {reason}; start the recorder with its original log, or "
            "the robot with a new run"
        )

    def _is(self, received: Transition, message: TransitionMessage) -> bool:
        """Whether a commit is the one that was received, bit for bit."""
        try:
            found = self._packing.checksum(self._read(message))
        except ValueError:
            return False
        return found == self._packing.checksum(received)

    def _trust(self, committed: int) -> None:
        """Take from the recorder what it has committed meanwhile."""
        if self.rejection:
            self.rejection = ""
            self._node.get_logger().info(f"the log of robot {self.robot} is the right one again")
        self._sequence.note_known(committed)
        self._ask_for_missing()

    def _folded(self) -> int:
        return self._worker.folded.get(self.run, 0)
