"""The learner: transitions in, versions of the actor out, in a thread beside the callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from rlt_core import checkpoint
from rlt_core.guard import normalised_bound
from rlt_core.packing import Packing
from rlt_core.records import EpisodeState, Outcome, Phase
from rlt_core.settings import AgentSettings, GuardSettings, TrainingSettings, setting
from rlt_core.trainer import Trainer, TrainerStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import LearnerStatus, PolicyWeights, RecorderStatus
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions, PauseLearning, SaveCheckpoint
from rlt_learner.catch_up import CatchUp
from rlt_learner.checkpoints import Checkpoints
from rlt_learner.intake import Intake
from rlt_learner.scalars import Scalars
from rlt_learner.status import learner_health, learner_status, news
from rlt_learner.worker import Worker
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, octets, transition_from_msg
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.priority import lower_priority

LOOK_SECONDS = 0.5
REPEAT_SECONDS = 2.0


@dataclass(frozen=True)
class LearnerSettings:
    """Seed and files of the learner."""

    seed: int = setting(0, "seed of weights, updates and sampling", low=0)
    output: str = setting(
        "", "folder of the run, for checkpoint/ and tensorboard/; a checkpoint there goes on"
    )


class LearnerNode(SelfStartingNode):
    """Feeds the `Trainer`; only its worker thread touches it."""

    def __init__(self) -> None:
        """Declare the parameters; everything else waits for `configure`."""
        super().__init__("learner")
        self._graph = declare(self, GraphSettings, without=("silence_s",))
        self._settings = declare(self, LearnerSettings)
        self._agent = declare(self, AgentSettings, without=("sigma", "sigma_chunk"))
        self._training, self._limits = declare(self, TrainingSettings), declare(self, GuardSettings)
        refuse_unknown(self)
        torch.set_num_threads(1)
        if not self._graph.lockstep:
            self.get_logger().info(lower_priority())  # the robot's nodes go first
        self._run = ""
        self._worker: Worker | None = None
        Diagnostics(self, self._health)

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Make agent and replay, connect, and start the worker."""
        self._contract = self._graph.contract()
        self._hash = self._contract.hash()
        bound = normalised_bound(self._limits, self._contract)
        self._trainer = Trainer(
            self._contract, bound, self._agent, self._training, self._settings.seed
        )
        self._packing = Packing(self._contract)
        output = Path(self._settings.output) if self._settings.output else None
        log = self.get_logger()
        self._scalars = Scalars(output and output / "tensorboard", log.error)
        self._checkpoints = output and Checkpoints(
            output / "checkpoint", self._trainer, self._contract, log.error
        )
        restored = self._checkpoints
        self._intake = Intake(restored.seq if restored else 0)
        self._recorder = RecorderStatus()
        self._told = self._trainer.status()
        self._paused = False
        self._worker = Worker(
            self._trainer, self._publish_weights, self._publish_status, self._on_boundary
        )
        self._connect()
        if restored and restored.run:
            (log.error if restored.damaged else log.info)(restored.message)
        self._worker.start()

    def _connect(self) -> None:
        self._weights = self.create_publisher(PolicyWeights, "policy_weights", qos.LATCHED)
        self._statuses = self.create_publisher(LearnerStatus, "learner_status", qos.LATCHED)
        self._subscriptions_made = [
            self.create_subscription(*subscription)
            for subscription in (
                (TransitionMessage, "transitions", self._on_transition, qos.LOG),
                (EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER),
                (RecorderStatus, "recorder_status", self._on_recorder, qos.LATCHED),
            )
        ]
        self._catch_up = CatchUp(
            self, self._intake, lambda: self._worker.folded, self._on_page
        )
        self._offered = [
            self.create_service(PauseLearning, "pause_learning", self._on_pause),
            self.create_service(SaveCheckpoint, "save_checkpoint", self._on_save),
        ]
        self._watchdog = self.create_timer(LOOK_SECONDS, self._watch)

    def cleanup(self) -> None:
        """Stop the worker and disconnect; what was learnt since the checkpoint is lost."""
        self._worker.stop()
        self._worker = None
        if self._checkpoints:
            self._checkpoints.close()
        self.destroy_timer(self._watchdog)
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        for service in self._offered:
            self.destroy_service(service)
        self._catch_up.close()
        self.destroy_publisher(self._weights)
        self.destroy_publisher(self._statuses)

    def close(self) -> None:
        """Finish the update in hand and save what is not saved yet."""
        if self._worker is None:
            return
        self._worker.stop()
        self._on_boundary()
        if self._checkpoints:
            self._checkpoints.close()
        self._scalars.close()
        status = self._trainer.status()
        self.get_logger().info(
            f"ingested {status.received}, gaps {self._intake.missing}, duplicates dropped "
            f"{status.duplicates}"
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Learn from now on."""
        result = super().on_activate(state)
        self._let_learn()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take in, but do not learn."""
        result = super().on_deactivate(state)
        self._let_learn()
        return result

    def _let_learn(self) -> None:
        if self._worker is not None:
            self._worker.learning = self.active and not self._paused
            self._worker.report()

    # ---- Callbacks ----------------------------------------------------------------------------

    def _on_transition(self, message: TransitionMessage) -> None:
        if message.run != self._run:
            return
        try:
            self._take(message)
        except ValueError as error:
            if self._graph.lockstep:
                raise
            self.get_logger().error(
                f"{error}; it is asked for again", throttle_duration_sec=REPEAT_SECONDS
            )

    def _take(self, message: TransitionMessage) -> None:
        """Take a commit in, once.

        Raises:
            ValueError: If it is of another contract or malformed.
        """
        try:
            self._contract.require(message.contract_hash, "the recorder")
            transition = transition_from_msg(message)
            self._packing.require(transition)
        except ValueError as error:
            raise ValueError(f"transitions: commit {message.seq}: {error}") from error
        if self._intake.take(message.seq, self._worker.folded):
            self._worker.submit(transition)

    def _on_episode(self, message: EpisodeMessage) -> None:
        if message.run != self._run:
            self._begin(message.run)
        if message.phase in (Phase.RESETTING, Phase.ENDED):
            state = episode_from_msg(message)
            self._worker.submit(lambda: self._note(state))

    def _begin(self, run: str) -> None:
        """Learn in this run from now on.

        Raises:
            ValueError: If something was learnt in another one.
        """
        if self._intake.next_seq > 1:
            raise ValueError(
                f"run {run!r} began while this learner has learnt from {self._run!r}: restart it "
                "with the run"
            )
        if self._checkpoints and self._checkpoints.run not in ("", run):
            raise ValueError(
                f"{self._settings.output} holds the checkpoint of run {self._checkpoints.run!r}, "
                f"this is run {run!r}: choose another folder with output:="
            )
        self._run = run
        self._on_recorder(self._recorder)  # which may have been quicker
        self._worker.report()

    def _on_recorder(self, message: RecorderStatus) -> None:
        self._recorder = message
        if message.run == self._run:
            self._intake.hear_of(message.committed)

    def _on_pause(
        self, request: PauseLearning.Request, response: PauseLearning.Response
    ) -> PauseLearning.Response:
        self._paused = request.pause
        self._let_learn()
        response.success = True
        response.message = "updates are paused" if request.pause else "updates go on"
        return response

    def _on_save(
        self, request: SaveCheckpoint.Request, response: SaveCheckpoint.Response
    ) -> SaveCheckpoint.Response:
        if not self._checkpoints:
            response.message = "parameter output is empty: there is no folder for a checkpoint"
            return response
        problem = self._checkpoints.save_and_wait(self._run, self._worker.submit)
        response.success, response.message = not problem, problem or "saved"
        response.path = "" if problem else str(self._checkpoints.folder)
        return response

    def _watch(self) -> None:
        """Raise what ended the worker; fetch commits that were lost on the way."""
        if self._worker.failure is not None:
            raise self._worker.failure
        self._catch_up.watch(self._run)

    def _on_page(self, page: GetTransitions.Response) -> None:
        self._trainer.require_log(page.committed)
        for message in page.transitions:
            self._take(message)

    # ---- In the worker's thread ---------------------------------------------------------------

    def _publish_weights(self, version: int, weights: dict[str, torch.Tensor]) -> None:
        data, sha256 = checkpoint.encode(weights)
        self._weights.publish(
            PolicyWeights(
                run=self._run, version=version, contract_hash=self._hash,
                sha256=sha256, data=octets(data),
            )
        )
        self._scalars.learning(self._trainer.status())

    def _publish_status(self, status: TrainerStatus) -> None:
        for sentence in news(status, self._told):
            self.get_logger().error(sentence)
        self._told = status
        learning = self._worker.learning
        self._statuses.publish(
            learner_status(self._run, self._hash, status, self._intake, learning)
        )

    def _note(self, state: EpisodeState) -> None:
        """Plot an ended episode."""
        if state.phase is Phase.ENDED:
            self._scalars.episode(state, state.outcome is Outcome.SUCCESS)

    def _on_boundary(self) -> None:
        """Have a checkpoint written; the next update does not wait for it."""
        if self._checkpoints:
            self._checkpoints.save_if_new(self._run)

    def _health(self) -> Health:
        if self._worker is None:
            return Health(Level.OK, "not configured")
        return learner_health(
            self._run, self._told, self._intake,
            self._checkpoints.trouble if self._checkpoints else "",
            self._worker.learning, self._training.replay_capacity,
        )
