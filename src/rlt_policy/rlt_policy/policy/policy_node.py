"""The policy: observation in; features and, at chunk boundaries, an action chunk out.

In real time the newest chunk counts: observations that queued up before its boundary are skipped,
so a stall is never caught up. In lockstep every observation is processed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

import torch
from builtin_interfaces.msg import Time

from rlt_core.records import ActionChunk as ChunkRecord
from rlt_core.records import EpisodeState, Phase
from rlt_core.records import Features as FeatureRecord
from rlt_core.rl.policy_step import NotFinite, PolicyStep
from rlt_core.settings import AgentSettings
from rlt_core.vla.model import load_model
from rlt_interfaces.msg import ActionChunk, Features, Observation, PolicyInfo, PolicyWeights
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import (
    chunk_to_msg,
    episode_from_msg,
    features_to_msg,
    observation_from_msg,
    policy_info_to_msg,
)
from rlt_node.diagnostics import Diagnostics, Health, Level
from rlt_node.fault_log import FaultLog
from rlt_node.graph import GraphSettings
from rlt_node.learner_watch import LearnerWatch
from rlt_node.lifecycle import SelfStartingNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import NodeError
from rlt_node.rates import Rate
from rlt_policy.policy.actor_weights import PolicySettings, from_checkpoint, from_message
from rlt_policy.policy.latency import Latency
from rlt_policy.policy.observation_handling import Lockstep, RealTime

WARM_UP_STEPS = 3
Answer = tuple[FeatureRecord | None, ChunkRecord | None]
REJECTIONS = ("names", "nonfinite", "weights")


class PolicyNode(SelfStartingNode):
    """Runs `PolicyStep` on every observation of a running episode, in order of ticks."""

    def __init__(self) -> None:
        """Declare the parameters; everything else waits for `configure`."""
        super().__init__("policy")
        self._graph = declare(self, GraphSettings)
        self._settings = declare(self, PolicySettings)
        self._agent = declare(
            self, AgentSettings,
            only=("hidden_dim", "exploration_noise", "exploration_noise_chunk"),
        )
        refuse_unknown(self)
        torch.set_num_threads(1)
        self._episode: EpisodeState | None = None
        self._waiting: deque[Observation] = deque()
        self._waiting_since = time.monotonic()
        self._newest_tick = self._newest_version = self._skipped = 0
        self._woken = False
        self._next_weights: PolicyWeights | None = None
        self._sent = Rate()
        self._fault_log = FaultLog(self.get_logger(), quiet=math.inf)
        self._answering: Lockstep | RealTime
        self._learner = LearnerWatch(self)
        Diagnostics(self, self._health)

    # ---- Configure ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Load VLA, RL token and actor, run them once, and connect."""
        contract = self._graph.contract()
        vla, token, self._contract = load_model(Path(self._graph.model), contract)
        self._hash = self._contract.hash()
        delay = contract.planning_delay_ticks
        self._latency = Latency(contract.rate_hz, delay)
        self._answering = (
            Lockstep(self._graph.silence_s)
            if self._graph.lockstep
            else RealTime(contract, self._fault_log, self.get_logger(), self.soon)
        )
        # Twice as many as can still be answered: what waits while nothing runs is bounded.
        self._waiting = deque(maxlen=2 * (contract.chunk + delay) // contract.stride)
        self._step = PolicyStep(vla, token, self._contract, self._agent)
        for _ in range(WARM_UP_STEPS):
            started = time.perf_counter()
            self._step.rehearse()
        self._latency.spread.add(time.perf_counter() - started)  # the last one: the first are slow
        if self._settings.checkpoint:
            folder, logger = Path(self._settings.checkpoint), self.get_logger()
            self._step.set_weights(*from_checkpoint(folder, self._contract, logger))
        self._features = self.create_publisher(Features, "features", qos.LOG)
        self._chunks = self.create_publisher(ActionChunk, "action_chunk", qos.BARRIER)
        self._info = self.create_publisher(PolicyInfo, "policy_info", qos.LATEST)
        self._inputs = [
            self.create_subscription(*subscription)
            for subscription in (
                (Observation, "observation", self._on_observation, qos.BARRIER),
                (EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER),
                (PolicyWeights, "policy_weights", self._on_weights, qos.LATEST),
            )
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

    # ---- Act ----------------------------------------------------------------------------------

    def _on_observation(self, message: Observation) -> None:
        expected = self._contract.proprio.names
        if tuple(message.proprio_names) != expected:
            self._answering.reject(
                "names",
                f"observation of tick {message.tick} holds proprioception "
                f"{', '.join(message.proprio_names)}; the contract expects {', '.join(expected)}: "
                "start observer and policy with the same model",
            )
            return
        self._waiting.append(message)
        self._waiting_since = time.monotonic()
        self._newest_tick = message.tick
        self._drop_obsolete()
        self._act_soon()

    def _drop_obsolete(self) -> None:
        """Drop the observations that need no answer any more."""
        for _ in range(self._answering.obsolete([each.tick for each in self._waiting])):
            tick = self._waiting.popleft().tick
            if self.active and self._episode is not None and self._wants(tick, self._episode):
                self._skipped += 1

    def _on_episode(self, message: EpisodeMessage) -> None:
        if self._episode is not None and message.episode < self._episode.episode:
            return  # the label of an earlier episode was corrected
        self._episode = episode_from_msg(message)
        if self._episode.phase is not Phase.RUNNING:
            self._swap_weights()
        self._act_soon()

    def _act_soon(self) -> None:
        """Act at once in lockstep; in real time after all arrived messages have been read."""
        if not self._woken:
            self._woken = True
            self._answering.soon(self._act)

    def _act(self) -> None:
        """Process every observation for which it is known whether its episode still runs."""
        self._woken = False
        episode = self._episode
        while self._waiting and self.active and episode is not None:
            tick = self._waiting[0].tick
            if not self._answering.known(tick, episode):
                return  # the episode_state of this tick has not arrived yet
            message = self._waiting.popleft()
            if self._wants(tick, episode):
                self._answer(message, episode)
                if self._answering.one_by_one:
                    self._act_soon()
                    return

    def _wants(self, tick: int, episode: EpisodeState) -> bool:
        """Whether a chunk or features are needed for a tick.

        The episode's end may arrive before its last observations: their features are still needed.
        """
        executed = episode.phase is Phase.RUNNING or tick < episode.end_tick
        return executed and tick >= episode.start_tick and self._step.wants(tick, episode)

    def _answer(self, message: Observation, episode: EpisodeState) -> None:
        started = time.perf_counter()
        try:
            answer = self._step.observe(observation_from_msg(message), episode)
        except NotFinite as error:
            self._answering.reject("nonfinite", str(error))
            return
        except RuntimeError as error:
            raise NodeError(str(error)) from error
        self._answering.accept()
        if answer[1] is not None:
            self._latency.spread.add(time.perf_counter() - started)
        self._answering.soon(lambda: self._send(answer, message.header.stamp, started))

    def _send(self, answer: Answer, stamp: Time, started: float) -> None:
        """Publish everything except, in real time, a chunk that was over before it was ready."""
        features, chunk = answer
        if not self.active:
            return
        if chunk is not None and self._answering.over(chunk, started, self._newest_tick):
            self._skipped += 1
        elif chunk is not None:
            self._sent.count(time.monotonic())
            message = chunk_to_msg(chunk)
            message.header.stamp = stamp
            self._chunks.publish(message)
        if features is not None:
            record = features_to_msg(features, self._contract, self._hash)
            record.header.stamp = stamp
            self._features.publish(record)

    def _watch(self) -> None:
        if self.active:
            ticks = [each.tick for each in self._waiting]
            self._answering.check(ticks, time.monotonic() - self._waiting_since, self._episode)

    # ---- Weights ------------------------------------------------------------------------------

    def _on_weights(self, message: PolicyWeights) -> None:
        self._next_weights = message
        self._newest_version = message.version
        if self._episode is not None and self._episode.phase is not Phase.RUNNING:
            self._swap_weights()

    def _swap_weights(self) -> None:
        """Act with the newest weights from the next episode on.

        In real time bad weights are logged once and dropped: a learner must not stop a robot.
        """
        message, self._next_weights = self._next_weights, None
        if message is None:
            return
        try:
            run = self._episode.run if self._episode is not None else None
            weights = from_message(message, self._contract, run, self._step.version)
            self._step.set_weights(message.version, weights)
        except ValueError as error:
            rejection = f"policy_weights version {message.version}: {error}"
            if self._graph.lockstep:
                raise NodeError(rejection) from error
            self._fault_log.counts["weights"] += 1
            self.get_logger().error(f"{rejection}; version {self._step.version} remains in use")
            return
        self._publish_info()

    def _publish_info(self) -> None:
        spread = self._latency.spread
        info = policy_info_to_msg(self._contract, self._hash, self._step.version)
        info.inference_p50_ms, info.inference_p95_ms = 1e3 * spread.p50, 1e3 * spread.p95
        self._info.publish(info)

    # ---- Diagnostics --------------------------------------------------------------------------

    def _health(self) -> Health:
        """Latency, rate, counts of skipped and rejected inputs, and the weights in use."""
        values: dict[str, object] = {"active": self.active, "skipped": self._skipped}
        values |= {f"rejected_{code}": self._fault_log.counts[code] for code in REJECTIONS}
        values |= self._sent.summary("chunk", time.monotonic()) | {"chunks": self._sent.total}
        if not self.active:
            return Health(Level.WARN, "not active: the chunk controller holds", values)
        version = self._step.version
        lag = max(0, self._newest_version - version)
        values |= {"policy_version": version, "policy_version_lag": lag, **self._latency.values()}
        if self._answering.fault:
            return Health(Level.ERROR, self._answering.fault, values)
        slow = "" if self._graph.lockstep else self._latency.excess()
        fault = "; ".join(filter(None, (slow, self._learner.fault(version))))
        return Health(Level.WARN if fault else Level.OK, fault or "ok", values)
