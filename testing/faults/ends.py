"""Faults 51 and 52: how an episode must not end, and how it must not begin."""

from __future__ import annotations

import time
from typing import Any

from rclpy.action import ActionServer

from rlt_core.records import EpisodeState, Outcome, Phase, Source
from rlt_interfaces.action import Reset
from rlt_interfaces.msg import Transition
from rlt_interfaces.srv import LabelSuccess
from rlt_node import qos

from .arm import silence
from .bench import Bench
from .chunks import CHUNK, TICK_S, quoted
from .people import running, start_episodes
from .rows import Make, row
from .sensors import MAX_AGE_S, QUEUE_S, WRIST

LIMIT = 150  # ticks
BEFORE = 40  # ticks of the policy before its camera is lost
SECOND_LOOK_S = 1.0


@row(51, "camera lost in mid-episode, until its ticks are past the time limit; and for good",
     "the clock stops: the policy gets its full time; an episode held for its limit is "
     "truncated, and nothing is learnt from it as a failure", "bad sensor")
def camera_away_past_the_time_limit(make: Make) -> str:
    bench = make(observed=True, episodes=False)
    commits = bench.heard(Transition, "transitions", qos.LOG)
    bench.start("observer", "chunk_controller", "recorder")
    bench.wait(lambda: bench.steps, "the controller's first tick")
    bench.start(
        "episodes", output=str(bench.graph.folder / "run"), job="train", supervisor="human",
        base_eval_episodes=0, episodes=5, warmup_episodes=4, eval_episodes=0,
        time_limit_ticks=LIMIT,
    )
    start = _underway(bench, 1)
    bench.forgive()
    bench.mark()
    fault = time.monotonic()
    bench.arm.tampering[WRIST] = silence
    bench.held(fault, MAX_AGE_S + QUEUE_S, ticks=CHUNK)
    line = bench.said_once("observer", WRIST, "s old")
    bench.wait(lambda: bench.steps[-1].tick >= start + LIMIT + CHUNK, "the limit's last tick")
    assert running(bench, 1), "the time limit ran while the robot was held"
    del bench.arm.tampering[WRIST]
    first = _ended(bench, 1)
    steps, held = _ticks(bench, first)
    assert (first.outcome, first.label_source) == (Outcome.FAILURE, "time_limit"), first
    assert steps - held == LIMIT, f"{steps} ticks, {held} of them held"
    _underway(bench, 2)
    bench.arm.tampering[WRIST] = silence
    second = _ended(bench, 2)
    del bench.arm.tampering[WRIST]
    longer, cut = _ticks(bench, second)
    assert (second.outcome, second.label_source) == (Outcome.TRUNCATED, "held"), second
    assert cut == LIMIT, f"{longer} ticks, {cut} of them held"
    bench.wait(lambda: _end_of(commits, 2), "the recorder to close episode 2")
    assert any(message.terminated for message in commits if message.episode == 1)
    of_second = [message for message in commits if message.episode == 2]
    assert len(of_second) > 1 and not any(message.terminated for message in of_second)
    assert _end_of(commits, 2)[0].outcome == Outcome.TRUNCATED
    bench.judge()
    return (
        f"episode 1 continued past its limit and failed after {steps} ticks, {held} of them held; "
        f"episode 2 was truncated after {longer}, {cut} of them held, and none of its "
        f"{len(of_second) - 1} windows is terminal: {quoted(line)}"
    )


def _underway(bench: Bench, episode: int) -> int:
    """Wait until the policy has driven for a while in an episode; its first tick."""
    bench.wait(
        lambda: running(bench, episode) and bench.steps[-1].tick >= bench.state.start_tick + BEFORE,
        f"episode {episode}",
    )
    return int(bench.state.start_tick)


def _ended(bench: Bench, episode: int) -> EpisodeState:
    """Wait for the end of an episode."""
    def ends() -> list[EpisodeState]:
        return [s for s in bench.states if (s.episode, s.phase) == (episode, Phase.ENDED)]

    bench.wait(ends, f"the end of episode {episode}")
    return ends()[0]


def _ticks(bench: Bench, state: EpisodeState) -> tuple[int, int]:
    """An ended episode's ticks, and how many of them were held, as the controller reports it."""
    bench.wait(lambda: bench.steps[-1].tick >= state.end_tick, "the episode's last step")
    steps = [s for s in bench.steps if state.start_tick <= s.tick < state.end_tick]
    return state.end_tick - state.start_tick, sum(s.source is Source.HOLD for s in steps)


def _end_of(commits: list[Any], episode: int) -> list[Any]:
    """The commits that close an episode."""
    return [m for m in commits if m.episode == episode and m.commit == m.COMMIT_EPISODE_END]


@row(52, "a second server of the robot's reset action, before the run and during an episode",
     "found and named before any reset is requested; none is requested while there are two; "
     "continues when it is gone", "stranger", ci=True)
def second_reset_server(make: Make) -> str:
    bench = make(episodes=False)
    bench.start("chunk_controller")
    bench.wait(lambda: bench.steps, "the controller's first tick")
    asked: list[Any] = []
    stranger = bench.node("stranger")
    labels = stranger.create_client(LabelSuccess, "label_success")
    server = ActionServer(stranger, Reset, "reset", asked.append)
    bench.mark()
    start_episodes(bench)
    line = bench.said_once("episodes", "/rlt/robot, /rlt/stranger", "reset")
    bench.pass_ticks(5 * CHUNK)
    assert bench.state.phase is Phase.IDLE and not bench.arm.resets, "a reset was requested"
    server.destroy()
    bench.wait(lambda: running(bench, 1), "the first episode")
    bench.steady()
    bench.forgive()
    bench.mark()
    server = ActionServer(stranger, Reset, "reset", asked.append)
    bench.said_once("episodes", "/rlt/robot, /rlt/stranger")
    bench.wait(labels.service_is_ready, "the service for labels")
    labels.call_async(LabelSuccess.Request(success=True, episode_id=f"{bench.state.run}/1"))
    bench.wait(lambda: bench.state.phase is Phase.ENDED, "the end of episode 1")
    bench.pass_ticks(round(2 * SECOND_LOOK_S / TICK_S))
    assert (bench.state.episode, bench.state.phase) == (1, Phase.ENDED), "the next one opened"
    assert bench.arm.resets == 1, "a reset was requested"
    server.destroy()
    gone = time.monotonic()
    bench.wait(lambda: running(bench, 2), "the second episode")
    bench.resumes(gone)
    assert not asked and bench.arm.resets == 2, (asked, bench.arm.resets)
    assert bench.graph.processes["episodes"].poll() is None
    assert len(bench.errors()) == 1, bench.errors()
    bench.judge()
    return f"one goal per episode, all to the robot: {quoted(line, 250)}"
