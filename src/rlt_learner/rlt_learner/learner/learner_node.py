"""The learner: transitions in, versions of the actor out, in a thread beside the callbacks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from rlt_core.control.motion_limits import normalised_bound
from rlt_core.log import checkpoint
from rlt_core.log.stream import OtherLog
from rlt_core.rl.trainer import Trainer, TrainerStatus
from rlt_core.settings import AgentSettings, TrainingSettings, setting
from rlt_interfaces.srv import PauseLearning, SaveCheckpoint
from rlt_learner.learner.checkpoints import Checkpoints
from rlt_learner.learner.robot_link import RobotLink
from rlt_learner.learner.run_registry import RunRegistry
from rlt_learner.learner.status import learner_health, new_faults
from rlt_learner.learner.tensorboard import TensorBoard
from rlt_learner.learner.worker import Worker
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings, RobotSettings
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.priority import lower_priority

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class LearnerSettings:
    """Seed and files of the learner, and the robots that it learns from."""

    seed: int = setting(0, "seed of weights, updates and sampling", low=0)
    output: str = setting(
        "", "folder of the run, for checkpoint/ and tensorboard/; a checkpoint there is resumed",
        path=True,
    )
    robots: list[str] = setting(
        [""], "real time: namespaces of the robots to learn from; an empty one: the node's own"
    )


EXPLORATION = ("exploration_noise", "exploration_noise_chunk")
"""Settings of the policy only."""


class LearnerNode(SelfStartingNode):
    """Feeds the `Trainer`; only its worker thread touches it."""

    def __init__(self) -> None:
        """Declare the parameters; everything else waits for `configure`."""
        super().__init__("learner")
        self._graph = declare(self, GraphSettings, without=("silence_s",))
        self._settings = declare(self, LearnerSettings)
        self._agent = declare(self, AgentSettings, without=EXPLORATION)
        self._training, self._robot = declare(self, TrainingSettings), declare(self, RobotSettings)
        refuse_unknown(self)
        torch.set_num_threads(1)
        if not self._graph.lockstep:
            self.get_logger().info(lower_priority())  # the robot's nodes go first
        self._worker: Worker | None = None
        Diagnostics(self, self._health)

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Make agent and replay buffer, connect, and start the worker."""
        self._contract = contract = self._graph.contract()
        settings, log = self._settings, self.get_logger()
        self._trainer = Trainer(
            contract, normalised_bound(self._robot.read(contract).limits, contract), self._agent,
            self._training, settings.seed,
        )
        output = Path(settings.output) if settings.output else None
        self._tensorboard = TensorBoard(output and output / "tensorboard", log.error)
        restored = self._checkpoints = output and Checkpoints(
            output / "checkpoint", self._trainer, contract, log.error
        )
        self._registry = RunRegistry(
            self._trainer.restored, settings.robots, self._graph.lockstep, settings.output
        )
        self._told = self._trainer.status()
        self._newest: tuple[int, bytes, str] | None = None
        self._paused = False
        self._worker = Worker(
            self._trainer, self._publish_weights, self._publish_status, self._on_boundary,
            self._on_other_log,
        )
        self._links = [
            RobotLink(
                self, robot, contract, self._registry, self._worker, self._welcome,
                self._tensorboard.episode, self._graph.lockstep,
            )
            for robot in settings.robots
        ]
        self._offered = [
            self.create_service(PauseLearning, "pause_learning", self._on_pause),
            self.create_service(SaveCheckpoint, "save_checkpoint", self._on_save),
        ]
        self._watchdog = self.create_timer(LOOK_SECONDS, self._watch)
        if restored and restored.message:
            (log.error if restored.damaged else log.info)(restored.message)
        self._worker.start()

    def cleanup(self) -> None:
        """Stop the worker and disconnect; what was learnt since the checkpoint is lost."""
        self._worker.stop()
        self._worker = None
        if self._checkpoints:
            self._checkpoints.close()
        self.destroy_timer(self._watchdog)
        for link in self._links:
            link.close()
        for service in self._offered:
            self.destroy_service(service)

    def close(self) -> None:
        """Finish the current update and save what is not saved yet."""
        if self._worker is None:
            return
        self._worker.stop()
        self._on_boundary()
        if self._checkpoints:
            self._checkpoints.close()
        self._tensorboard.close()
        status = self._trainer.status()
        self.get_logger().info(
            f"ingested {status.received}, gaps {self._gaps()}, duplicates dropped "
            f"{status.duplicates}"
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to learn."""
        result = super().on_activate(state)
        self._let_learn()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ingest, but do not learn."""
        result = super().on_deactivate(state)
        self._let_learn()
        return result

    def _let_learn(self) -> None:
        if self._worker is not None:
            self._worker.learning = self.active and not self._paused
            self._worker.report()

    # ---- Callbacks ----------------------------------------------------------------------------

    def _on_pause(
        self, request: PauseLearning.Request, response: PauseLearning.Response
    ) -> PauseLearning.Response:
        self._paused = request.pause
        self._let_learn()
        response.success = True
        response.message = "updates are paused" if request.pause else "updates continue"
        return response

    def _on_save(
        self, request: SaveCheckpoint.Request, response: SaveCheckpoint.Response
    ) -> SaveCheckpoint.Response:
        if not self._checkpoints:
            response.message = "parameter output is empty: there is no folder for a checkpoint"
            return response
        fault = self._checkpoints.save_and_wait(self._worker.submit)
        response.success, response.message = not fault, fault or "saved"
        response.path = "" if fault else str(self._checkpoints.folder)
        return response

    def _watch(self) -> None:
        """Raise what ended the worker; fetch commits that were lost on the topic."""
        if self._worker.failure is not None:
            raise self._worker.failure
        for link in self._links:
            link.watch()
        if self._graph.lockstep:
            return
        for run in self._registry.absent(self._worker.folded, time.monotonic()):
            self.get_logger().warning(
                f"no robot serves run {run!r}, which the checkpoint has learnt from: learning "
                "continues without its transitions until they come"
            )
            self._worker.release(run)

    # ---- In the worker's thread ---------------------------------------------------------------

    def _publish_weights(self, version: int, weights: dict[str, torch.Tensor]) -> None:
        self._newest = (version, *checkpoint.encode(weights))
        for link in self._links:
            link.offer(*self._newest)
        self._tensorboard.learning(self._trainer.status())

    def _publish_status(self, status: TrainerStatus) -> None:
        for sentence in new_faults(status, self._told):
            self.get_logger().error(sentence)
        self._told = status
        for link in self._links:
            link.publish(self._trainer.status(link.run), self._worker.learning)

    def _welcome(self, link: RobotLink) -> None:
        """Send weights and status to a robot whose run has begun."""
        if self._newest is not None:
            link.offer(*self._newest)
        self._publish_status(self._trainer.status())

    def _on_other_log(self, error: OtherLog) -> None:
        for link in self._links:
            if link.run == error.run:
                link.reject(str(error))

    def _on_boundary(self) -> None:
        """Queue a checkpoint; the next update does not wait for it."""
        if self._checkpoints:
            self._checkpoints.save_if_new()

    # ---- Diagnostics --------------------------------------------------------------------------

    def _gaps(self) -> int:
        return sum(link.missing for link in self._links)

    def _health(self) -> Health:
        if self._worker is None:
            return Health(Level.OK, "not configured")
        faults = [link.rejection for link in self._links]
        if self._checkpoints:
            faults.append(self._checkpoints.fault)
        return learner_health(
            self._registry.runs, self._told, self._gaps(), next(filter(None, faults), ""),
            self._worker.learning, self._training.replay_capacity,
        )
