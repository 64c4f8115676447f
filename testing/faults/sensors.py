"""Faults 7, 13 to 19 and 50: sensors that stop, freeze, jump, lie or are late; jumping clocks."""

from __future__ import annotations

import copy
import math
import os
import shutil
import signal
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import WrenchStamped
from sensor_msgs.msg import Image, JointState

from rlt_core.records import EpisodeKind, Source
from rlt_interfaces.msg import Features, LearnerStatus, Observation, Transition
from rlt_node import qos
from rlt_node.conversions import seconds, stamp_of

from .arm import silence
from .bench import Bench, Hold
from .chunks import ANSWER_S, CHUNK, STRETCH, TICK_S, quoted
from .rows import Make, row

MAX_AGE_S = 0.1
QUEUE_S = ANSWER_S + (CHUNK + STRETCH) * TICK_S  # from the last observation to an empty queue
HOUR_S = 3600.0
SOURCE = Path(__file__).parent / "wall_clock.c"
WRIST = "wrist/image_raw"


def with_observer(make: Make, **options: Any) -> Bench:
    """Real observer and controller, driving steadily on the stub's answers to observations."""
    bench = make(observed=True, **options)
    bench.start("observer", "chunk_controller")
    bench.drive()
    return bench


def no_observation(bench: Bench, topic: str, tampering: Any, *words: str, detection: float) -> str:
    """A source is unusable for a while: hold, one line, and resumption after it is fixed."""
    observations = bench.heard(Observation, "observation", qos.BARRIER)
    fault = time.monotonic()
    bench.arm.tampering[topic] = tampering
    hold = bench.held(fault, detection + QUEUE_S, ticks=3 * CHUNK)
    bench.said_once("observer", topic, *words)
    seen = len(observations)
    bench.pass_ticks(CHUNK)
    assert len(observations) == seen, "observations went on"
    bench.no_policy(hold.at)
    fixed = time.monotonic()
    del bench.arm.tampering[topic]
    bench.resumes(fixed)
    bench.steady()
    line = bench.said_once("observer", topic, *words)
    bench.judge()
    return f"no further observation, hold after {hold.delay:.2f} s; resumed: {quoted(line)}"


@row(13, "camera unplugged", "no new inference; hold; the camera is named", "bad sensor", ci=True)
def camera_unplugged(make: Make) -> str:
    bench = with_observer(make)
    return no_observation(bench, WRIST, silence, "s old", detection=MAX_AGE_S)


@row(14, "camera frozen with fresh stamps", "the watchdog trips within 10 frames; hold",
     "bad sensor")
def camera_frozen(make: Make) -> str:
    bench = with_observer(make)
    last: list[Image] = []

    def freeze(message: Image) -> Image:
        last.append(message)
        message.data = last[0].data
        return message

    ten_frames = 10 * 2 * TICK_S
    return no_observation(bench, WRIST, freeze, "identical", detection=ten_frames + 2 * TICK_S)


@row(15, "one camera lags by 300 ms", "it is named as late; the observation is refused",
     "bad sensor")
def camera_lags(make: Make) -> str:
    bench = with_observer(make)

    def stamped(message: Image) -> Image:
        # A new stamp: the other camera's image shares the one that it has.
        message.header.stamp = stamp_of(seconds(message.header.stamp) - 0.3)
        return message

    return no_observation(bench, WRIST, stamped, "max_latency_s", detection=2 * TICK_S)


class Late:
    """Tampering: a camera of 30 Hz whose images are sent `latency` s after they are taken."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._due = 0.0
        self._waiting: deque[Image] = deque()

    def __call__(self, message: Image) -> Image | None:
        now = seconds(message.header.stamp)
        if now >= self._due:
            self._due = max(self._due, now - TICK_S) + 1.0 / 30.0
            self._waiting.append(message)
        taken = seconds(self._waiting[0].header.stamp) if self._waiting else math.inf
        return self._waiting.popleft() if now - taken > self._latency - 0.5 * TICK_S else None


@row(50, "cameras of 30 Hz: one 160 ms late from the start; then 40 and 60 ms late",
     "refused, with the number that would work; then no hold, at least 95 % of the observations",
     "bad sensor", ci=True)
def cameras_are_late(make: Make) -> str:
    bench = make(observed=True)
    bench.arm.image_every = 1
    bench.arm.tampering |= {WRIST: Late(0.16), "scene/image_raw": Late(0.04)}
    observations = bench.heard(Observation, "observation", qos.BARRIER)
    bench.start("observer", "chunk_controller")
    bench.wait(bench.errors, "the observer's line about the late camera")
    line = bench.said_once("observer", WRIST, "max_latency_s 0.1", "set max_latency_s to 0.")
    assert not observations, "a late camera made observations"
    bench.arm.tampering[WRIST] = Late(0.06)
    bench.drive()
    bench.pass_ticks(15 * CHUNK)
    steps = bench.since(bench.marked_at)
    held = [step.tick for step in steps if step.source is Source.HOLD]
    assert not held, f"held at ticks {held}"
    due = [step.tick for step in steps[: -2 * CHUNK] if step.tick % bench.contract.stride == 0]
    came = {message.tick for message in observations}.intersection(due)
    assert len(came) >= 0.95 * len(due), f"{len(came)} of {len(due)} observations came"
    assert not bench.errors(), bench.errors()
    bench.judge()
    return f"{quoted(line, 260)}; then no tick held, {len(came)} of {len(due)} observations came"


@row(16, "joint_states stop", "hold within 100 ms of detection; no motion before they are fresh",
     "bad sensor")
def joints_stop(make: Make) -> str:
    bench = with_observer(make)
    fault = time.monotonic()
    bench.arm.tampering["joint_states"] = silence
    hold = bench.held(fault, MAX_AGE_S, ticks=4 * CHUNK)
    bench.no_policy(hold.at)
    line = bench.said_once("chunk_controller", "joint_states")
    fixed = time.monotonic()
    del bench.arm.tampering["joint_states"]
    bench.pass_ticks(2 * CHUNK + STRETCH)
    if not any(step.source is not Source.HOLD for step in bench.since(fixed)):
        bench.end_episode()  # the hold is latched until the next episode
        bench.pass_ticks(5)
        bench.begin()
        end = "the next episode"
    else:
        end = "fresh ones and a fresh chunk"
    bench.resumes(fixed)
    bench.steady()
    bench.judge()
    return f"hold after {hold.delay:.3f} s, until {end}: {quoted(line)}"


def latched(bench: Bench, topic: str, tampering: Callable[[Any], Any]) -> Hold:
    """Let the arm's driver report what must hold the robot; its end must not end the hold."""
    fault = time.monotonic()
    bench.arm.tampering[topic] = tampering
    hold = bench.held(fault, 2 * TICK_S, ticks=CHUNK)
    del bench.arm.tampering[topic]
    bench.pass_ticks(4 * CHUNK)
    bench.no_policy(hold.at)
    return hold


@row(17, "joint_states jump by 0.5 rad", "implausible velocity; hold, latched until the next "
     "episode", "bad sensor", ci=True)
def joints_jump(make: Make) -> str:
    bench = with_observer(make)

    def jump(message: JointState) -> JointState:
        message.position[2] += 0.5
        return message

    hold = latched(bench, "joint_states", jump)
    line = bench.said_once("chunk_controller", "elbow", "joint_states", "next episode")
    bench.next_episode_drives()
    bench.judge()
    return f"hold after {hold.delay:.3f} s, latched; the next episode drove: {quoted(line)}"


def wall_clock(bench: Bench) -> Callable[[float], None] | None:
    """Give later processes a wall clock that can be set; None without a C compiler.

    Returns:
        A function that sets it by some seconds.
    """
    library, file = bench.graph.folder / "wall_clock.so", bench.graph.folder / "wall_clock"
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    file.write_bytes(struct.pack("d", 0.0))
    bench.graph.environment |= {"LD_PRELOAD": str(library), "WALL_CLOCK": str(file)}

    def set_by(seconds: float) -> None:
        with open(file, "r+b") as mapped:
            mapped.write(struct.pack("d", seconds))

    return set_by


@row(18, "wall clock jumps by +1 h and by -1 h", "no effect on motion: ages are monotonic",
     "clocks")
def wall_clock_jumps(make: Make) -> str:
    bench = make(observed=True)
    clock = wall_clock(bench)
    bench.start("observer", "chunk_controller")
    bench.drive()
    observations = bench.heard(Observation, "observation", qos.BARRIER)
    moments = []
    for hours in (1, -1):
        if clock is not None:
            clock(hours * HOUR_S)
        bench.arm.clock_offset = hours * HOUR_S
        moments.append(time.monotonic())
        bench.pass_ticks(15 * CHUNK)
    held = [step.tick for step in bench.since(bench.marked_at) if step.source is Source.HOLD]
    assert not held, f"held at ticks {held}"
    stamps = [message.header.stamp.sec for message in observations]
    assert max(stamps) - min(stamps) > 1.9 * HOUR_S, "no clock jumped"
    assert not bench.errors(), bench.errors()
    bench.judge()
    said = bench.logged("WARN")
    jumps = [f"{seconds:+.1f} s" for seconds in (HOUR_S, -2 * HOUR_S)] if clock else []
    assert len(said) == len(jumps), said
    assert all(jump in line for jump, line in zip(jumps, said, strict=True)), said
    how = "of the nodes and of the robot" if clock else "of the robot's stamps alone (no compiler)"
    return f"clock {how} moved: no tick held; {quoted(said[0]) if said else 'nothing logged'}"


@row(19, "simulated time pauses for 2 s", "hold; no burst of commands on resume", "clocks",
     ci=True)
def simulated_time_pauses(make: Make) -> str:
    bench = make(observed=True, clock=True)
    bench.start("observer", "chunk_controller", use_sim_time=True)
    bench.drive()
    fault = time.monotonic()
    bench.arm.paused = True
    hold = bench.held(fault, MAX_AGE_S, ticks=100)
    bench.no_policy(hold.at)
    bench.arm.paused = False
    bench.forgive()
    fixed = time.monotonic()
    ticks = bench.resumes(fixed)
    bench.steady()
    lines = bench.errors()
    nodes = sorted(line.partition(":")[0] for line in lines)
    # Each has lost its own input; the observer tolerates missing drivers in its first seconds.
    assert nodes in (["chunk_controller"], ["chunk_controller", "observer"]), lines
    bench.judge()
    line = next(line for line in lines if line.startswith("chunk_controller"))
    return (
        f"hold after {hold.delay:.3f} s, acted again {ticks} ticks after the resume; "
        f"{' and '.join(nodes)} logged it once: {quoted(line)}"
    )


@row(7, "NaN or Inf in proprioception, in features, in a transition", "dropped at its source, in "
     "the recorder and in the learner; logged; training state unchanged", "bad sensor")
def nan_in_the_data(make: Make) -> str:
    bench = make(observed=True)
    transitions = bench.heard(Transition, "transitions", qos.LOG)
    statuses = bench.heard(LearnerStatus, "learner_status", qos.LATEST)
    bench.start("recorder")
    bench.start("learner", warmup_episodes=1000)  # ingests and does not learn yet
    bench.start("observer", "chunk_controller")
    bench.drive(EpisodeKind.WARMUP)
    bench.wait(lambda: statuses and statuses[-1].replay_size > CHUNK, "the replay buffer to fill")

    def wrong_force(message: WrenchStamped) -> WrenchStamped:
        message.wrench.force.x = math.nan
        return message

    source = no_observation(bench, "tcp_wrench", wrong_force, "fx", "nan", detection=0.0)
    bench.mark()
    bench.policy.bend_features = wrong_token
    bench.pass_ticks(2 * CHUNK)
    bench.policy.bend_features = None
    recorder = bench.said_once("recorder", "not finite")
    bench.steady(6 * CHUNK)
    assert len(bench.errors()) == 1, bench.errors()
    assert not any(wrong_numbers(message) for message in transitions), "committed a NaN"
    bench.wait(lambda: statuses[-1].ingested_seq >= len(transitions) - CHUNK, "the learner")
    learner = wrong_transitions(bench, transitions, statuses)
    bench.judge()
    return f"{quoted(source, 230)}; {quoted(recorder)}; {quoted(learner)}"


def wrong_token(message: Features) -> Features:
    """Fault: the RL token is not finite."""
    message.token[0] = math.inf
    return message


def wrong_numbers(message: Transition) -> bool:
    """Whether a transition holds a number that is not finite."""
    arrays = (message.token, message.proprio, message.actions, message.rewards, message.next_token)
    return not all(np.isfinite(array).all() for array in arrays)


def wrong_transitions(
    bench: Bench, transitions: list[Transition], statuses: list[LearnerStatus]
) -> str:
    """Publish transitions that are not finite, as no recorder does; return the learner's line."""
    os.kill(bench.graph.processes["recorder"].pid, signal.SIGSTOP)  # its seqs are ours now
    time.sleep(0.5)
    last = transitions[-1]
    bench.wait(lambda: statuses[-1].ingested_seq >= last.seq, "the learner to ingest the rest")
    before = statuses[-1]
    publisher = bench.publisher(Transition, "transitions", qos.LOG)
    bench.wait(publisher.get_subscription_count, "the learner's subscription")
    bench.mark()
    for number, (field, value) in enumerate(
        (("rewards", math.nan), ("proprio", math.inf), ("token", -math.inf)), start=1
    ):
        wrong = copy.deepcopy(last)
        wrong.seq, wrong.step = last.seq + number, last.step + number
        getattr(wrong, field)[0] = value
        publisher.publish(wrong)
        bench.wait(lambda seq=wrong.seq: statuses[-1].ingested_seq >= seq, "the learner's answer")
    line = bench.said_once("learner", "not finite")
    after = statuses[-1]
    assert (after.replay_size, after.updates) == (before.replay_size, before.updates), (
        f"replay {before.replay_size} -> {after.replay_size}"
    )
    os.kill(bench.graph.processes["recorder"].pid, signal.SIGCONT)
    return line
