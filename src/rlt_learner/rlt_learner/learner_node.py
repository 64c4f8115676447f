"""The learner: transitions in, versions of the actor out, in a thread beside the callbacks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from rlt_core import checkpoint
from rlt_core.guard import normalised_bound
from rlt_core.settings import AgentSettings, GuardSettings, TrainingSettings, setting
from rlt_core.stream import OtherLog
from rlt_core.trainer import Trainer, TrainerStatus
from rlt_interfaces.srv import PauseLearning, SaveCheckpoint
from rlt_learner.checkpoints import Checkpoints
from rlt_learner.feed import Feed
from rlt_learner.roster import Roster
from rlt_learner.scalars import Scalars
from rlt_learner.status import learner_health, news
from rlt_learner.worker import Worker
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.graph import GraphSettings
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.priority import lower_priority

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class LearnerSettings:
    """Seed and files of the learner, and the robots that it learns from."""

    seed: int = setting(0, "seed of weights, updates and sampling", low=0)
    output: str = setting(
        "", "folder of the run, for checkpoint/ and tensorboard/; a checkpoint there goes on",
        path=True,
    )
    robots: list[str] = setting(
        [""], "real time: namespaces of the robots to learn from; an empty one: the node's own"
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
        self._worker: Worker | None = None
        Diagnostics(self, self._health)

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Make agent and replay, connect, and start the worker."""
        self._contract = contract = self._graph.contract()
        settings, log = self._settings, self.get_logger()
        self._trainer = Trainer(
            contract, normalised_bound(self._limits, contract), self._agent, self._training,
            settings.seed,
        )
        output = Path(settings.output) if settings.output else None
        self._scalars = Scalars(output and output / "tensorboard", log.error)
        restored = self._checkpoints = output and Checkpoints(
            output / "checkpoint", self._trainer, contract, log.error
        )
        self._roster = Roster(
            self._trainer.restored, settings.robots, self._graph.lockstep, settings.output
        )
        self._told = self._trainer.status()
        self._newest: tuple[int, bytes, str] | None = None
        self._paused = False
        self._worker = Worker(
            self._trainer, self._publish_weights, self._publish_status, self._on_boundary,
            self._on_other_log,
        )
        self._feeds = [
            Feed(
                self, robot, contract, self._roster, self._worker, self._welcome,
                self._scalars.episode, self._graph.lockstep,
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
        for feed in self._feeds:
            feed.close()
        for service in self._offered:
            self.destroy_service(service)

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
            f"ingested {status.received}, gaps {self._gaps()}, duplicates dropped "
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
        problem = self._checkpoints.save_and_wait(self._worker.submit)
        response.success, response.message = not problem, problem or "saved"
        response.path = "" if problem else str(self._checkpoints.folder)
        return response

    def _watch(self) -> None:
        """Raise what ended the worker; fetch commits that were lost on the way."""
        if self._worker.failure is not None:
            raise self._worker.failure
        for feed in self._feeds:
            feed.watch()
        if self._graph.lockstep:
            return
        for run in self._roster.absent(self._worker.folded, time.monotonic()):
            self.get_logger().warning(
                f"run {run!r}, which the checkpoint has learnt from, is served by no robot: "
                "learning goes on without its transitions until they come"
            )
            self._worker.release(run)

    # ---- In the worker's thread ---------------------------------------------------------------

    def _publish_weights(self, version: int, weights: dict[str, torch.Tensor]) -> None:
        self._newest = (version, *checkpoint.encode(weights))
        for feed in self._feeds:
            feed.offer(*self._newest)
        self._scalars.learning(self._trainer.status())

    def _publish_status(self, status: TrainerStatus) -> None:
        for sentence in news(status, self._told):
            self.get_logger().error(sentence)
        self._told = status
        for feed in self._feeds:
            feed.tell(self._trainer.status(feed.run), self._worker.learning)

    def _welcome(self, feed: Feed) -> None:
        """Give a robot whose run has begun what there is."""
        if self._newest is not None:
            feed.offer(*self._newest)
        self._publish_status(self._trainer.status())

    def _on_other_log(self, error: OtherLog) -> None:
        for feed in self._feeds:
            if feed.run == error.run:
                feed.refuse(str(error))

    def _on_boundary(self) -> None:
        """Have a checkpoint written; the next update does not wait for it."""
        if self._checkpoints:
            self._checkpoints.save_if_new()

    # ---- Diagnostics --------------------------------------------------------------------------

    def _gaps(self) -> int:
        return sum(feed.missing for feed in self._feeds)

    def _health(self) -> Health:
        if self._worker is None:
            return Health(Level.OK, "not configured")
        troubles = [feed.refusal for feed in self._feeds]
        if self._checkpoints:
            troubles.append(self._checkpoints.trouble)
        return learner_health(
            self._roster.runs, self._told, self._gaps(), next(filter(None, troubles), ""),
            self._worker.learning, self._training.replay_capacity,
        )
