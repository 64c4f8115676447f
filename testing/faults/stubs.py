"""A policy that can be told to misbehave, and episodes that begin and end on demand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from rlt_core.contract import Contract
from rlt_core.records import ActionChunk as Chunk
from rlt_core.records import EpisodeKind, EpisodeState, FloatArray, Outcome, Phase, Source
from rlt_core.records import Features as FeatureRecord
from rlt_episodes.episode_publisher import BEAT_SECONDS
from rlt_interfaces.msg import ActionChunk, Features, Observation, PolicyInfo
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import chunk_to_msg, episode_to_msg, features_to_msg, vector

SPEED = 0.0005  # m per tick, half of the simulated robot's limit
CIRCLE_TICKS = 200

Bend = Callable[[ActionChunk], Iterable[ActionChunk]]


class StubPolicy:
    """Answers ticks, or real observations, with chunks that drive a slow circle.

    Attributes:
        bend: The fault: turns the good chunk into what is published in its place.
        bend_features: The fault of the features, None for none.
        delay_ticks: By how many ticks an answer comes later than its observation.
        velocity: Replaces the circle by a constant increment, float32 (4,), if not None.
    """

    def __init__(self, node: Node, contract: Contract, observed: bool = False) -> None:
        self.bend: Bend = straight
        self.bend_features: Callable[[Features], Features] | None = None
        self.delay_ticks = 0
        self.velocity: FloatArray | None = None
        self._contract = contract
        self._hash = contract.hash()
        self._episode: EpisodeState | None = None
        self._pending: list[tuple[int, ActionChunk]] = []
        self._observed = observed
        self._chunks = node.create_publisher(ActionChunk, "action_chunk", qos.BARRIER)
        self._features = node.create_publisher(Features, "features", qos.LOG)
        self._info = node.create_publisher(PolicyInfo, "policy_info", qos.LATEST)
        self._info.publish(
            PolicyInfo(
                vla_backend=contract.vla_backend, contract_hash=self._hash, policy_version=1,
                axis_names=contract.action.names, axis_units=contract.action.units,
                horizon=contract.horizon, chunk=contract.chunk, stride=contract.stride,
                rate_hz=contract.rate_hz, planning_delay_ticks=contract.planning_delay_ticks,
            )
        )
        if observed:
            node.create_subscription(
                Observation, "observation", self._on_observation, qos.BARRIER
            )

    def publish(self, message: ActionChunk) -> None:
        """Publish a chunk as it is."""
        self._chunks.publish(message)

    def follow(self, state: EpisodeState) -> None:
        """Act in this episode while it runs."""
        self._episode = state

    def on_step(self, tick: int) -> None:
        """A control tick was counted: publish what is due, answer it without an observer."""
        due = [message for at, message in self._pending if at <= tick]
        self._pending = [(at, message) for at, message in self._pending if at > tick]
        for message in due:
            self.publish(message)
        if not self._observed:
            self._answer(tick, np.zeros(self._contract.proprio.size, np.float32))

    def _on_observation(self, message: Observation) -> None:
        self._answer(message.tick, vector(message.proprio))

    def _answer(self, tick: int, proprio: FloatArray) -> None:
        episode = self._episode
        if episode is None or episode.phase is not Phase.RUNNING or tick < episode.start_tick:
            return
        if tick % self._contract.stride == 0:
            self._publish_features(episode, tick, proprio)
        if tick % self._contract.chunk == 0:
            for message in self.bend(self.chunk(episode, tick)):
                if self.delay_ticks:
                    self._pending.append((tick + self.delay_ticks, message))
                else:
                    self.publish(message)

    def chunk(self, episode: EpisodeState, tick: int) -> ActionChunk:
        """The good chunk that answers an observation."""
        contract = self._contract
        start = tick + contract.planning_delay_ticks
        middle = start + contract.chunk
        return chunk_to_msg(
            Chunk(
                episode=episode.episode, obs_tick=tick, start_tick=start,
                actions=self.motion(start, middle),
                tail=self.motion(middle, tick + contract.horizon),
                source=episode.acting, policy_version=int(episode.acting is Source.ACTOR),
                axis_names=contract.action.names, contract_hash=self._hash,
            )
        )

    def motion(self, first: int, end: int) -> FloatArray:
        """Increments of the ticks from `first` to before `end`: float32 (n, 4), m and rad."""
        if self.velocity is not None:
            return np.tile(self.velocity, (end - first, 1))
        angle = 2.0 * math.pi * np.arange(first, end) / CIRCLE_TICKS
        still = np.zeros_like(angle)
        columns = (SPEED * np.cos(angle), SPEED * np.sin(angle), still, still)
        return np.stack(columns, axis=1).astype(np.float32)

    def _publish_features(self, episode: EpisodeState, tick: int, proprio: FloatArray) -> None:
        contract = self._contract
        start = tick + contract.planning_delay_ticks
        record = FeatureRecord(
            episode=episode.episode, tick=tick,
            token=np.zeros(len(contract.normaliser.token_mean), np.float32), proprio=proprio,
            reference=self.motion(start, start + contract.chunk),
        )
        message = features_to_msg(record, contract, self._hash)
        self._features.publish(self.bend_features(message) if self.bend_features else message)


def straight(message: ActionChunk) -> list[ActionChunk]:
    """No fault: the chunk as it is."""
    return [message]


class EpisodeDriver:
    """Publishes `episode_state` as the episodes node does, on demand."""

    def __init__(self, node: Node, contract: Contract, run: str) -> None:
        self._chunk = contract.chunk
        self._publisher = node.create_publisher(EpisodeMessage, "episode_state", qos.BARRIER)
        self._beats = node.create_publisher(EpisodeMessage, "episode_heartbeat", qos.COMMAND)
        self.state = EpisodeState(
            run=run, episode=0, kind=EpisodeKind.UNKNOWN, phase=Phase.IDLE, acting=Source.BASE,
            explore=False, seed=0, tick=0, start_tick=0,
        )
        node.create_timer(
            BEAT_SECONDS, lambda: self._beats.publish(episode_to_msg(self.state)),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    @property
    def followed(self) -> bool:
        """Whether a controller subscribes to the heartbeat."""
        return bool(self._beats.get_subscription_count())

    def begin(self, next_tick: int, kind: EpisodeKind = EpisodeKind.TRAIN) -> EpisodeState:
        """Open the next episode a little after `next_tick`."""
        start = (next_tick // self._chunk + 2) * self._chunk
        resetting = EpisodeState(
            run=self.state.run, episode=self.state.episode + 1, kind=kind, phase=Phase.RESETTING,
            acting=kind.acting, explore=False, seed=0, tick=self.state.tick, start_tick=0,
        )
        self._publish(resetting)
        return self._publish(
            replace(
                resetting, phase=Phase.RUNNING, tick=start, start_tick=start, critical_tick=start
            )
        )

    def end(self, next_tick: int, outcome: Outcome = Outcome.FAILURE) -> EpisodeState:
        """End the running episode at `next_tick`."""
        return self._publish(
            replace(
                self.state, phase=Phase.ENDED, tick=next_tick, end_tick=next_tick, outcome=outcome,
                label_source="human",
            )
        )

    def _publish(self, state: EpisodeState) -> EpisodeState:
        self.state = state
        self._publisher.publish(episode_to_msg(state))
        return state
