"""The policy in real time: newest chunk first, only finite numbers, weights between episodes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.experimental import EventsExecutor

from rlt_core.log import checkpoint
from rlt_core.records import EpisodeKind, Phase, Source
from rlt_core.rl.networks import Actor
from rlt_interfaces.msg import (
    ActionChunk,
    EpisodeState,
    Features,
    LearnerStatus,
    Observation,
    PolicyWeights,
)
from rlt_node import learner_watch, qos
from rlt_node.conversions import image_to_msg, stamp_of_tick
from rlt_node.diagnostics import Level
from rlt_policy.policy.policy_node import PolicyNode

MODEL = Path(__file__).resolve().parents[3] / "models" / "ethernet"
PATIENCE_S = 90.0
CHUNK, STRIDE = 10, 2


class Bench:
    """A policy in real time and a node that talks to it."""

    def __init__(self, delay: int) -> None:
        rclpy.init(
            args=[
                "--ros-args", "-p", f"model:={MODEL}", "-p", "mode:=real_time",
                "-p", f"planning_delay_ticks:={delay}",
            ],
        )
        self.policy = PolicyNode()
        self.policy.autostart()
        self.contract = self.policy._contract
        self.other = rclpy.create_node("other", use_global_arguments=False)
        self.executor = EventsExecutor()
        for node in (self.policy, self.other):
            self.executor.add_node(node)
        self.chunks: list[ActionChunk] = []
        self.features: list[Features] = []
        self.other.create_subscription(ActionChunk, "action_chunk", self.chunks.append, qos.BARRIER)
        self.other.create_subscription(Features, "features", self.features.append, qos.LOG)
        self.observations = self.other.create_publisher(Observation, "observation", qos.BARRIER)
        self.episodes = self.other.create_publisher(EpisodeState, "episode_state", qos.BARRIER)
        self.weights = self.other.create_publisher(PolicyWeights, "policy_weights", qos.LATEST)
        publishers = (self.observations, self.episodes, self.weights)
        self.wait_for(lambda: all(each.get_subscription_count() for each in publishers))

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain: {self.health()}"
            self.executor.spin_once(timeout_sec=0.05)
        assert self.policy.exit_reason is None

    def health(self):
        return self.policy._health()

    def episode(self, phase: Phase, end_tick: int = 0) -> None:
        self.episodes.publish(EpisodeState(
            run="run", episode=1, kind=int(EpisodeKind.WARMUP), phase=int(phase),
            acting=int(Source.BASE), critical=True, end_tick=end_tick,
        ))
        self.wait_for(
            lambda: self.policy._episode is not None and self.policy._episode.phase is phase
        )

    def observe(self, *ticks: int, value: float = 0.1) -> None:
        names = self.contract.proprio.names
        for tick in ticks:
            images = [
                image_to_msg(
                    np.full((camera.height, camera.width, 3), tick % 251, np.uint8),
                    stamp_of_tick(tick, 50.0), camera.name,
                )
                for camera in self.contract.cameras
            ]
            self.observations.publish(Observation(
                tick=tick, camera_names=[camera.name for camera in self.contract.cameras],
                images=images, proprio_names=names, proprio=[value] * len(names),
            ))

    def send_weights(self, version: int, damaged: bool = False) -> None:
        actor = Actor(
            self.contract.state_size, CHUNK, self.contract.action.size, 256,
            np.ones(self.contract.action.size, np.float32),
        )
        data, sha256 = checkpoint.encode(actor.state_dict())
        self.weights.publish(PolicyWeights(
            run="run", version=version, contract_hash=self.contract.hash(),
            sha256="0" * 64 if damaged else sha256, data=data,
        ))
        self.wait_for(lambda: self.policy._newest_version == version)

    def observe_until_answered(self, tick: int) -> tuple[int, int]:
        """Observe a tick a chunk until one is answered; a busy machine may be too late for some.

        Returns:
            The tick that was answered, and how many before it were not.
        """
        first, late = tick, self.skipped
        while True:
            before = self.skipped
            self.observe(tick)
            self.wait_for(
                lambda tick=tick, before=before: tick in self.answered() or self.skipped > before
            )
            if tick in self.answered():
                assert self.skipped - late == (tick - first) // CHUNK
                return tick, self.skipped - late
            tick += CHUNK

    @property
    def skipped(self) -> int:
        """How many observations and chunks were too late."""
        return self.health().values["skipped"]

    def answered(self) -> list[int]:
        return [chunk.obs_tick for chunk in self.chunks]

    def close(self) -> None:
        for node in (self.policy, self.other):
            node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def bench(request):
    made = Bench(getattr(request, "param", 4))
    yield made
    made.close()


def errors(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if "[ERROR]" in line]


def answered_after_a_stall(bench, begun: int) -> list[int]:
    """Observe many ticks while the policy sleeps; return those that it answers, less `begun`."""
    begun, _ = bench.observe_until_answered(begun)
    bench.wait_for(lambda: bench.features and bench.features[-1].tick == begun)
    features, skipped, answered = len(bench.features), bench.skipped, len(bench.chunks)
    ticks = range(begun + STRIDE, begun + 88, STRIDE)
    bench.observe(*ticks)
    time.sleep(0.5)
    bench.wait_for(lambda: bench.features[-1].tick == ticks[-1])
    assert len(bench.features) - features == len(ticks) - (bench.skipped - skipped)
    return [tick - begun for tick in bench.answered()[answered:]]


def test_after_a_stall_the_newest_chunk_comes_first_and_the_old_ones_never(bench):
    bench.episode(Phase.RUNNING)
    begun, answered = 0, []
    while 80 not in answered:  # on a busy machine the newest, too, may be too late
        answered = answered_after_a_stall(bench, begun)
        assert len(answered) <= 3  # of eight: what had arrived when the first was taken counts
        begun += 200
    assert answered[-1] == 80


def test_a_chunk_that_is_over_before_it_is_ready_is_not_sent(bench):
    """The policy stood still while it computed: its features still count, its chunk does not."""
    bench.episode(Phase.RUNNING)
    compute = bench.policy._step.observe

    def stand_still(seen, episode):
        bench.observe(16)  # the chunk of tick 0 ends before tick 14
        time.sleep(0.5)
        bench.policy._step.observe = compute
        return compute(seen, episode)

    bench.policy._step.observe = stand_still
    bench.observe(0)
    bench.wait_for(lambda: bench.features)
    assert bench.features[0].tick == 0
    answered, late = bench.observe_until_answered(20)
    assert bench.answered() == [answered]
    assert bench.skipped == 1 + late


def test_a_chunk_that_took_longer_than_its_ticks_is_not_sent(bench):
    """Nothing newer has arrived yet, as right after a stop: the clock decides."""
    bench.episode(Phase.RUNNING)
    compute = bench.policy._step.observe

    def stand_still(seen, episode):
        time.sleep(0.3)  # from tick 0 to the end of its chunk it is 14 ticks, 0.28 s
        bench.policy._step.observe = compute
        return compute(seen, episode)

    bench.policy._step.observe = stand_still
    bench.observe(0)
    bench.wait_for(lambda: bench.features)
    answered, late = bench.observe_until_answered(10)
    assert bench.answered() == [answered]
    assert bench.skipped == 1 + late


@pytest.mark.time_critical
def test_at_rate_nothing_is_skipped(bench):
    bench.episode(Phase.RUNNING)
    for tick in range(0, 60, STRIDE):
        bench.observe(tick)
        bench.wait_for(lambda tick=tick: bench.features and bench.features[-1].tick == tick)
    assert bench.answered() == list(range(0, 60, CHUNK))
    health = bench.health()
    assert health.values["skipped"] == 0
    assert health.values["chunks"] == 6
    assert 0 < health.values["inference_ms_p50"] <= health.values["inference_ms_max"]
    ticks = health.values["inference_ms_p95"] * 50.0 / 1e3
    assert health.values["inference_ticks_p95"] == pytest.approx(ticks)


def test_proprioception_that_is_no_number_is_refused_and_said_once(bench, capfd):
    bench.episode(Phase.RUNNING)
    capfd.readouterr()
    bench.observe(0)
    bench.wait_for(lambda: bench.answered() == [0])
    for count, tick in enumerate((10, 20, 30), 1):
        bench.observe(tick, value=float("nan"))
        bench.wait_for(lambda n=count: bench.policy._fault_log.counts["nonfinite"] == n)
    assert bench.health().level == Level.ERROR
    assert "proprioception for the observation of tick" in bench.health().message
    bench.observe(40)
    bench.wait_for(lambda: bench.answered() == [0, 40])
    bench.wait_for(lambda: [record.tick for record in bench.features] == [0, 40])
    assert len(errors(capfd.readouterr().err)) == 1


@pytest.mark.parametrize("bench", [0, 4], indirect=True)
def test_a_reference_that_is_no_number_reaches_nobody_and_is_not_remembered(bench):
    bench.episode(Phase.RUNNING)
    vla = bench.policy._step._vla
    proposed = vla.sample
    vla.sample = lambda prefix, noise: np.full_like(proposed(prefix, noise), np.nan)
    bench.observe(0, 2)
    bench.wait_for(lambda: bench.policy._fault_log.counts["nonfinite"] == 1)
    vla.sample = proposed
    bench.observe(10, 12)
    bench.wait_for(lambda: len(bench.features) == 2 and bench.chunks)
    assert bench.answered() == [10]
    assert [record.tick for record in bench.features] == [10, 12]
    for record in (*bench.features, *bench.chunks):
        values = record.reference if isinstance(record, Features) else record.actions
        assert np.isfinite(values).all()


def test_weights_are_opened_between_episodes_only(bench, capfd):
    bench.episode(Phase.RESETTING)
    bench.send_weights(3)
    bench.wait_for(lambda: bench.policy._step.version == 3)
    bench.episode(Phase.RUNNING)
    bench.send_weights(7, damaged=True)
    bench.observe(0)
    bench.wait_for(lambda: bench.answered() == [0])
    values = bench.health().values
    assert (values["policy_version"], values["policy_version_lag"]) == (3, 4)
    assert not errors(capfd.readouterr().err)
    bench.episode(Phase.ENDED, end_tick=1)
    bench.wait_for(lambda: bench.policy._fault_log.counts["weights"] == 1)
    assert bench.policy._step.version == 3
    (line,) = errors(capfd.readouterr().err)
    assert "policy_weights version 7" in line and "version 3 remains in use" in line


@pytest.mark.parametrize("bench", [0], indirect=True)
def test_a_policy_slower_than_planned_warns(bench):
    health = bench.health()
    assert health.level == Level.WARN
    assert "more than planning_delay_ticks 0" in health.message


def test_a_learner_that_falls_silent_is_told_with_the_weights_that_act(bench, monkeypatch):
    monkeypatch.setattr(learner_watch, "SILENT_SECONDS", 0.5)
    learner = bench.other.create_publisher(LearnerStatus, "learner_status", qos.LATEST)
    learner.publish(LearnerStatus(run="run"))
    bench.wait_for(lambda: "learner silent for 1 s, acting on weights v0" in bench.health().message)
    assert bench.health().level == Level.WARN


def test_an_inactive_policy_says_that_nothing_moves(bench):
    bench.policy.trigger_deactivate()
    health = bench.health()
    assert health.level == Level.WARN and "not active" in health.message
    assert health.values["active"] is False
