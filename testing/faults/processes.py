"""Faults 11, 12, 20 to 22: nodes that die, hang, stop or are late."""

from __future__ import annotations

import os
import signal
import time

from rlt_core.records import EpisodeKind, Phase, Source
from rlt_interfaces.msg import Transition
from rlt_node import qos

from .bench import Bench
from .chunks import CHUNK, TICK_S, quoted
from .rows import Make, row
from .sensors import QUEUE_S

FROZEN_S = 2.0
START_S = 40.0
PULSE_S, PULSES = 0.05, 5  # longer than two periods: the next tick is surely late by one


def with_policy(make: Make) -> Bench:
    """The real policy, observer and controller, driving steadily."""
    bench = make(policy=False)
    bench.start("policy", "observer", "chunk_controller")
    bench.drive(EpisodeKind.BASE_EVAL)
    return bench


@row(11, "policy process killed", "hold when the queue ends; acts again on a fresh observation "
     "after a restart", "dead process")
def policy_killed(make: Make) -> str:
    bench = with_policy(make)
    fault = time.monotonic()
    os.kill(bench.graph.processes["policy"].pid, signal.SIGKILL)
    hold = bench.held(fault, QUEUE_S, ticks=3 * CHUNK)
    line = bench.said_once("chunk_controller", "action", "policy")
    restarted = time.monotonic()
    newest = bench.steps[-1].tick
    bench.start("policy")
    bench.resumes(restarted, START_S)
    bench.steady()
    first = next(s for s in bench.since(restarted) if s.source is Source.BASE)
    assert first.obs_tick > newest, "acted on an observation from before the restart"
    bench.judge()
    return f"hold after {hold.delay:.2f} s; restarted: acted on a fresh observation: {quoted(line)}"


@row(12, "policy process hangs (SIGSTOP) with its connections open", "as 11: the queue's end is "
     "the deadline", "dead process")
def policy_hangs(make: Make) -> str:
    bench = with_policy(make)
    fault = time.monotonic()
    policy = bench.graph.processes["policy"].pid
    os.kill(policy, signal.SIGSTOP)
    hold = bench.held(fault, QUEUE_S, ticks=5 * CHUNK)
    newest = bench.steps[-1].tick
    continued = time.monotonic()
    os.kill(policy, signal.SIGCONT)
    bench.resumes(continued)
    bench.steady()
    bench.no_policy(hold.at, continued)
    first = next(s for s in bench.since(continued) if s.source is Source.BASE)
    assert first.obs_tick > newest - CHUNK, "acted on an old observation"
    line = bench.said_once("chunk_controller", "action", "policy")
    bench.judge()
    return f"hold after {hold.delay:.2f} s; continued: acted on a fresh observation: {quoted(line)}"


@row(20, "controller process stops for 2 s (SIGSTOP)", "the robot's own time-out stops the arm; "
     "the queue is flushed on SIGCONT; no burst", "dead process", ci=True)
def controller_stopped(make: Make) -> str:
    bench = make(judges_pace=True)
    bench.start("chunk_controller")
    bench.drive()
    controller = bench.graph.processes["chunk_controller"].pid
    fault = time.monotonic()
    os.kill(controller, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    continued = time.monotonic()
    moved = bench.stopped_alone(fault, continued)
    os.kill(controller, signal.SIGCONT)
    bench.resumes(continued)
    bench.steady()
    after = bench.since(continued)
    assert after[0].source is Source.HOLD, "the first tick after the stall executed the old queue"
    first = next(step for step in after if step.source is not Source.HOLD)
    assert first.obs_tick > after[0].tick - CHUNK, "acted on an old observation"
    line = bench.said_once("chunk_controller")
    bench.judge()
    return (
        f"arm still {moved:.2f} s after the stop; on SIGCONT hold for {first.tick - after[0].tick} "
        f"ticks until a fresh chunk, no burst: {quoted(line)}"
    )


@row(21, "controller process killed (kill -9)", "the robot's own time-out stops the arm; the log "
     "is intact; a restarted controller holds until the next episode", "dead process")
def controller_killed(make: Make) -> str:
    bench = make(episodes=False)
    bench.start("recorder", "chunk_controller")
    bench.wait(lambda: bench.steps, "the controller's first tick")
    transitions = bench.heard(Transition, "transitions", qos.LOG)
    bench.start(
        "episodes", output=str(bench.graph.folder / "run"), job="train", supervisor="human",
        base_eval_episodes=0, episodes=4, warmup_episodes=3, eval_episodes=0,
    )
    bench.wait(lambda: bench.state is not None and bench.state.phase is Phase.RUNNING, "an episode")
    bench.wait(lambda: len(transitions) > CHUNK, "transitions")
    bench.steady()
    bench.quiet()
    bench.forgive()
    bench.mark()
    before = [message.seq for message in transitions]
    episode = bench.state.episode
    fault = time.monotonic()
    os.kill(bench.graph.processes["chunk_controller"].pid, signal.SIGKILL)
    time.sleep(0.5)
    moved = bench.stopped_alone(fault, time.monotonic())
    restarted = time.monotonic()
    bench.start("chunk_controller")
    bench.wait(lambda: bench.since(restarted), "the restarted controller", START_S)
    bench.wait(
        lambda: bench.state.episode > episode and bench.state.phase is Phase.RUNNING,
        "the next episode",
    )
    bench.no_policy(restarted, bench.since(restarted)[0].at + TICK_S)
    old = [step for step in bench.since(restarted) if step.episode == episode]
    assert {step.source for step in old} <= {Source.HOLD}, "it acted in the old episode"
    bench.resumes(restarted, START_S)
    acted = next(step for step in bench.since(restarted) if step.source is not Source.HOLD)
    bench.wait(lambda: len(transitions) > 2 * len(before), "transitions of the next episode")
    ticks = [step.tick for step in bench.steps]
    assert ticks == sorted(set(ticks)), "a tick was counted twice"
    # A controller that sees the old episode still running logs it; the abort is logged in any case.
    aborts = [line for line in bench.logged("INFO") if "chunk_controller restarted" in line]
    rejections = [line for line in bench.errors() if "was running when this controller" in line]
    assert len(aborts) == 1 and len(rejections) <= 1, (aborts, rejections)
    line = aborts[0]
    sequence = [message.seq for message in transitions]
    assert sequence == list(range(1, len(sequence) + 1)), "the log has gaps or repetitions"
    bench.judge(killed=fault)
    return (
        f"arm still {moved:.2f} s after the kill; episode {episode} aborted, nothing done in it by "
        f"the restarted controller, which drove again {acted.at - fault:.0f} s after the kill; "
        f"{len(sequence)} commits without gaps: {quoted(line)}"
    )


@row(22, "another process takes the CPU: the controller's ticks come more than a period late, "
     "repeatedly", "overrun diagnostic; hold until it keeps its period", "bad time")
def controller_hogged(make: Make) -> str:
    bench = make(judges_pace=True)
    bench.start("chunk_controller")
    bench.drive()
    controller = bench.graph.processes["chunk_controller"].pid
    fault = time.monotonic()
    for _ in range(PULSES):
        os.kill(controller, signal.SIGSTOP)
        time.sleep(PULSE_S)
        os.kill(controller, signal.SIGCONT)
        time.sleep(PULSE_S)
    ended = time.monotonic()
    hold = bench.held(fault, PULSES * 2 * PULSE_S, ticks=CHUNK)
    bench.resumes(ended)
    bench.steady()
    line = bench.said_once("chunk_controller", "late")
    again = next(s for s in bench.since(ended) if s.source is not Source.HOLD)
    kept = sum(step.at < again.at for step in bench.since(ended))
    assert kept >= 5 * CHUNK - 2, f"acted again after {kept} ticks"
    bench.no_policy(hold.at, again.at)
    bench.judge()
    return (
        f"{PULSES} ticks up to {1e3 * PULSE_S:.0f} ms late: hold after the third; acted again "
        f"after {kept} punctual ticks, no burst: {quoted(line)}"
    )
