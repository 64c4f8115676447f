"""The learner: transitions in, versions of the actor out, in a thread beside the callbacks."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from rlt_core import checkpoint
from rlt_core.guard import normalised_bound
from rlt_core.records import EpisodeKind, EpisodeState, Outcome, Phase
from rlt_core.settings import AgentSettings, GuardSettings, TrainingSettings, setting
from rlt_core.trainer import Trainer, TrainerStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import LearnerStatus, PolicyWeights, RecorderStatus
from rlt_interfaces.msg import Transition as TransitionMessage
from rlt_interfaces.srv import GetTransitions, PauseLearning, SaveCheckpoint
from rlt_learner.scalars import Scalars
from rlt_learner.worker import Worker
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, octets, transition_from_msg
from rlt_node.graph import GraphSettings
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown

LOOK_SECONDS = 0.5
PAGE_SECONDS = 5.0
SAVE_SECONDS = 20.0
NICENESS = 10


@dataclass(frozen=True)
class LearnerSettings:
    """Seed and files of the learner."""

    seed: int = setting(0, "seed of weights, updates and sampling", low=0)
    output: str = setting("", "folder of the run, for checkpoint/ and tensorboard/; empty: none")
    checkpoint_every: int = setting(20, "versions of the weights between two checkpoints", low=1)


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
            os.nice(NICENESS)  # the robot's nodes go first
        self._run = ""
        self._worker: Worker | None = None

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Make agent and replay, connect, and start the worker."""
        self._contract = self._graph.contract()
        self._hash = self._contract.hash()
        bound = normalised_bound(self._limits, self._contract)
        self._trainer = Trainer(
            self._contract, bound, self._agent, self._training, self._settings.seed
        )
        output = Path(self._settings.output) if self._settings.output else None
        self._folder = output and output / "checkpoint"
        self._scalars = Scalars(output and output / "tensorboard")
        self._recorder = RecorderStatus()
        self._next_seq = 1
        self._ahead: set[int] = set()
        self._gap = 0
        self._page: Any = None
        self._page_due = 0.0
        self._paused = False
        self._saved_version = 0
        self._worker = Worker(self._trainer, self._publish_weights, self._publish_status)
        self._connect()
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
        self._pages = self.create_client(GetTransitions, "get_transitions")
        self._offered = [
            self.create_service(PauseLearning, "pause_learning", self._on_pause),
            self.create_service(SaveCheckpoint, "save_checkpoint", self._on_save),
        ]
        self._watchdog = self.create_timer(LOOK_SECONDS, self._watch)

    def cleanup(self) -> None:
        """Stop the worker and disconnect; what was learnt since the checkpoint is lost."""
        self._worker.stop()
        self._worker = None
        self.destroy_timer(self._watchdog)
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        for service in self._offered:
            self.destroy_service(service)
        self.destroy_client(self._pages)
        self.destroy_publisher(self._weights)
        self.destroy_publisher(self._statuses)

    def close(self) -> None:
        """Finish the update in hand and save what is not saved yet."""
        if self._worker is None:
            return
        self._worker.stop()
        self._save_if_new()
        self._scalars.close()

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
        self._contract.require(message.contract_hash, "the recorder")
        self._worker.submit(transition_from_msg(message))
        self._ahead.add(message.seq)
        while self._next_seq in self._ahead:
            self._ahead.remove(self._next_seq)
            self._next_seq += 1

    def _on_episode(self, message: EpisodeMessage) -> None:
        if message.run != self._run:
            if self._next_seq > 1:
                raise ValueError(
                    f"run {message.run!r} began while this learner has learnt from {self._run!r}: "
                    "restart it with the run"
                )
            self._run = message.run
            self._worker.report()
        if message.phase in (Phase.RESETTING, Phase.ENDED):
            state = episode_from_msg(message)
            self._worker.submit(lambda: self._note(state))

    def _on_recorder(self, message: RecorderStatus) -> None:
        self._recorder = message

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
        done: Future[None] = Future()

        def save() -> None:
            try:
                self._save()
                done.set_result(None)
            except Exception as error:
                done.set_exception(error)

        self._worker.submit(save)
        try:
            done.result(SAVE_SECONDS)
            response.success, response.path = True, str(self._folder)
            response.message = "saved"
        except (OSError, ValueError, TimeoutError) as error:
            response.message = str(error) or f"not saved within {SAVE_SECONDS:g} s"
        return response

    def _watch(self) -> None:
        """Raise what ended the worker; fetch commits that were lost on the way."""
        if self._worker.failure is not None:
            raise self._worker.failure
        first = self._next_seq
        gap = first if self._recorder.committed >= first else 0
        if not gap or gap != self._gap or time.monotonic() < self._page_due:
            self._gap = gap  # seen for the first time, it may still be on its way
            return
        if self._page is not None:
            self._pages.remove_pending_request(self._page)  # a reply that never came
        request = GetTransitions.Request(
            run=self._run, first_seq=first, count=GetTransitions.Request.MAX_PAGE
        )
        self._page_due = time.monotonic() + PAGE_SECONDS
        self._page = self._pages.call_async(request)
        self._page.add_done_callback(self.guarded(self._on_page))

    def _on_page(self, future: Any) -> None:
        self._page_due = 0.0
        response = future.result()
        if not response.success:
            self.get_logger().error(response.message)
        for message in response.transitions:
            self._on_transition(message)

    # ---- In the worker's thread ---------------------------------------------------------------

    def _publish_weights(self, version: int, weights: dict[str, torch.Tensor]) -> None:
        data, sha256 = checkpoint.encode(weights)
        self._weights.publish(
            PolicyWeights(
                run=self._run, version=version, contract_hash=self._hash, sha256=sha256,
                data=octets(data),
            )
        )
        self._scalars.learning(self._trainer.status())
        if version % self._settings.checkpoint_every == 0:
            self._save_if_new()

    def _publish_status(self, status: TrainerStatus) -> None:
        self._statuses.publish(
            LearnerStatus(
                run=self._run,
                contract_hash=self._hash,
                ingested_seq=status.ingested_seq,
                received=status.received,
                duplicates=status.duplicates,
                missing=status.missing,
                replay_size=status.replay_size,
                updates=status.updates,
                updates_owed=float(status.updates_owed),
                updates_per_second=float(status.updates_per_second),
                policy_version=status.policy_version,
                critic_loss=float(status.critic_loss),
                q_mean=float(status.q_mean),
                reference_distance=float(status.reference_distance),
                learning=self._worker.learning,
            )
        )

    def _note(self, state: EpisodeState) -> None:
        """Plot an ended episode; keep the trained actor before it is evaluated."""
        if state.phase is Phase.ENDED:
            self._scalars.episode(state, state.outcome is Outcome.SUCCESS)
        elif state.kind is EpisodeKind.EVAL:
            self._save_if_new()

    def _save_if_new(self) -> None:
        """Write a checkpoint if there is a folder for it and something to write."""
        version = self._trainer.status().policy_version
        if self._folder is not None and version > self._saved_version:
            self._save()

    def _save(self) -> None:
        """Write the checkpoint.

        Raises:
            OSError: If it cannot be written.
            ValueError: If there is no folder for it.
        """
        if self._folder is None:
            raise ValueError("parameter output is empty: there is no folder for a checkpoint")
        tensors, counters = self._trainer.state_dict()
        version = self._trainer.status().policy_version
        checkpoint.save(
            self._folder,
            tensors,
            {
                "run": self._run,
                "contract_hash": self._hash,
                "policy_version": version,
                "seed": self._settings.seed,
                "trainer": counters,
            },
        )
        self._saved_version = version
