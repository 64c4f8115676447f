"""The policy: observation in; features and, at chunk boundaries, an action chunk out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rlt_core import checkpoint
from rlt_core.policy_step import PolicyStep
from rlt_core.records import ActionChunk as ChunkRecord
from rlt_core.records import EpisodeKind, EpisodeState, Phase, Source
from rlt_core.records import Features as FeatureRecord
from rlt_core.records import Observation as Seen
from rlt_core.settings import AgentSettings, setting
from rlt_core.vla.model import load_model
from rlt_interfaces.msg import ActionChunk, Features, Observation, PolicyInfo, PolicyWeights
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import (
    chunk_to_msg,
    episode_from_msg,
    features_to_msg,
    observation_from_msg,
)
from rlt_node.graph import GraphSettings
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Refused

WARM_UP_STEPS = 3
TIMED_CHUNKS = 200
REPEAT_SECONDS = 2.0


@dataclass(frozen=True)
class PolicySettings:
    """Which weights act before a learner sends some."""

    checkpoint: str = setting("", "checkpoint folder whose actor acts; empty: the learner's")


class PolicyNode(SelfStartingNode):
    """Runs `PolicyStep` on every observation of a running episode, in order of ticks."""

    def __init__(self) -> None:
        """Declare the parameters; everything else waits for `configure`."""
        super().__init__("policy")
        self._graph = declare(self, GraphSettings)
        self._settings = declare(self, PolicySettings)
        self._agent = declare(self, AgentSettings, only=("hidden", "sigma", "sigma_chunk"))
        refuse_unknown(self)
        torch.set_num_threads(1)
        self._episode: EpisodeState | None = None
        self._waiting: deque[Observation] = deque(maxlen=10)
        self._waiting_since = time.monotonic()
        self._next_weights: PolicyWeights | None = None
        self._seconds: deque[float] = deque(maxlen=TIMED_CHUNKS)

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Load VLA, RL token and actor, run them once, and connect."""
        contract = self._graph.contract()
        vla, token, self._contract = load_model(Path(self._graph.model), contract)
        self._hash = self._contract.hash()
        self._step = PolicyStep(vla, token, self._contract, self._agent)
        self._warm_up()
        if self._settings.checkpoint:
            self._load_checkpoint(Path(self._settings.checkpoint))
        self._features = self.create_publisher(Features, "features", qos.LOG)
        self._chunks = self.create_publisher(ActionChunk, "action_chunk", qos.BARRIER)
        self._info = self.create_publisher(PolicyInfo, "policy_info", qos.LATCHED)
        self._inputs = [
            self.create_subscription(Observation, "observation", self._on_observation, qos.BARRIER),
            self.create_subscription(
                EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER
            ),
            self.create_subscription(
                PolicyWeights, "policy_weights", self._on_weights, qos.LATCHED
            ),
        ]
        self._watchdog = self.create_timer(0.5, self._watch)
        self._publish_info()

    def cleanup(self) -> None:
        """Disconnect."""
        self.destroy_timer(self._watchdog)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        for publisher in (self._features, self._chunks, self._info):
            self.destroy_publisher(publisher)

    def _warm_up(self) -> None:
        """Run the whole step on an empty scene: the first call of a network is a slow one."""
        images = {
            camera.name: np.zeros((camera.height, camera.width, 3), np.uint8)
            for camera in self._contract.cameras
        }
        proprio = np.zeros(self._contract.proprio.size, np.float32)
        nothing = EpisodeState(
            run="", episode=0, kind=EpisodeKind.WARMUP, phase=Phase.RUNNING, acting=Source.BASE,
            explore=False, seed=0, tick=0, start_tick=0,
        )
        for _ in range(WARM_UP_STEPS):
            self._timed(Seen(tick=0, images=images, proprio=proprio), nothing)

    def _load_checkpoint(self, folder: Path) -> None:
        tensors, meta = checkpoint.load(folder, "contract_hash", "policy_version")
        self._contract.require(meta["contract_hash"], f"checkpoint {folder}")
        actor = {
            name.removeprefix("actor."): tensor
            for name, tensor in tensors.items()
            if name.startswith("actor.")
        }
        self._step.set_weights(meta["policy_version"], actor)

    # ---- Act ----------------------------------------------------------------------------------

    def _on_observation(self, message: Observation) -> None:
        expected = self._contract.proprio.names
        if tuple(message.proprio_names) != expected:
            problem = (
                f"observation of tick {message.tick} holds proprioception "
                f"{', '.join(message.proprio_names)}; the contract wants {', '.join(expected)}: "
                "start observer and policy with the same model"
            )
            if self._graph.lockstep:
                raise Refused(problem)
            self.get_logger().error(problem, throttle_duration_sec=REPEAT_SECONDS)
            return
        self._waiting.append(message)
        self._waiting_since = time.monotonic()
        self._act()

    def _on_episode(self, message: EpisodeMessage) -> None:
        if self._episode is not None and message.episode < self._episode.episode:
            return  # the label of an earlier episode was corrected
        self._episode = episode_from_msg(message)
        if self._episode.phase is not Phase.RUNNING:
            self._swap_weights()
        self._act()

    def _act(self) -> None:
        """Process every observation of which it is known whether its episode still runs."""
        episode = self._episode
        while self._waiting and self.active and episode is not None:
            tick = self._waiting[0].tick
            running = episode.phase is Phase.RUNNING
            known = tick <= episode.tick or (running and not self._graph.lockstep)
            if not known:
                return  # the supervisor's word on this tick is still to come
            message = self._waiting.popleft()
            # The verdict may overtake the last observations: their features are still needed.
            executed = running or tick < episode.end_tick
            if executed and tick >= episode.start_tick and self._step.wants(tick, episode):
                self._answer(message, episode)

    def _answer(self, message: Observation, episode: EpisodeState) -> None:
        try:
            features, chunk = self._timed(observation_from_msg(message), episode)
        except RuntimeError as error:
            raise Refused(str(error)) from error
        if chunk is not None:
            answer = chunk_to_msg(chunk)
            answer.header.stamp = message.header.stamp
            self._chunks.publish(answer)
        if features is not None:
            record = features_to_msg(features, self._contract, self._hash)
            record.header.stamp = message.header.stamp
            self._features.publish(record)

    def _timed(
        self, observation: Seen, episode: EpisodeState
    ) -> tuple[FeatureRecord | None, ChunkRecord | None]:
        started = time.perf_counter()
        features, chunk = self._step.observe(observation, episode)
        if chunk is not None:
            self._seconds.append(time.perf_counter() - started)
        return features, chunk

    def _watch(self) -> None:
        """End the run if the supervisor's word on a tick is missing."""
        waited = time.monotonic() - self._waiting_since
        episode = self._episode
        if (
            self.active and self._graph.lockstep and self._waiting and episode is not None
            and episode.phase is Phase.RUNNING and waited > self._graph.silence_s
        ):
            raise Refused(
                f"episodes published no episode_state for tick {self._waiting[0].tick} within "
                f"{self._graph.silence_s:g} s: check that node"
            )

    # ---- Weights ------------------------------------------------------------------------------

    def _on_weights(self, message: PolicyWeights) -> None:
        self._next_weights = message
        if self._episode is not None and self._episode.phase is not Phase.RUNNING:
            self._swap_weights()

    def _swap_weights(self) -> None:
        """Act with the newest weights from the next episode on.

        In real time bad ones are said once and dropped: a robot must not stop for its learner.
        """
        message, self._next_weights = self._next_weights, None
        if message is None:
            return
        try:
            self._require_run(message.run)
            self._contract.require(message.contract_hash, "the learner")
            weights = checkpoint.decode(bytes(message.data), message.sha256)
            self._step.set_weights(message.version, weights)
        except ValueError as error:
            problem = f"policy_weights version {message.version}: {error}"
            if self._graph.lockstep:
                raise Refused(problem) from error
            self.get_logger().error(f"{problem}; version {self._step.version} goes on acting")
            return
        self._publish_info()

    def _require_run(self, run: str) -> None:
        """Refuse weights that were learnt in another run, which an old learner may still offer.

        Raises:
            ValueError: Naming both runs.
        """
        if self._episode is not None and run != self._episode.run:
            raise ValueError(
                f"they are of run {run!r}, this is run {self._episode.run!r}: end the learner "
                "that still serves the old run"
            )

    def _publish_info(self) -> None:
        contract, milliseconds = self._contract, 1e3 * np.array(self._seconds)
        self._info.publish(
            PolicyInfo(
                vla_backend=contract.vla_backend,
                contract_hash=self._hash,
                policy_version=self._step.version,
                axis_names=contract.action.names,
                axis_units=contract.action.units,
                horizon=contract.horizon,
                chunk=contract.chunk,
                stride=contract.stride,
                rate_hz=contract.rate_hz,
                planning_delay_ticks=contract.planning_delay_ticks,
                inference_p50_ms=float(np.percentile(milliseconds, 50)),
                inference_p95_ms=float(np.percentile(milliseconds, 95)),
            )
        )
