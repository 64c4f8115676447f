"""Faults 1 to 6 and 8 to 10: chunks that are wrong, late, out of order or repeated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from rlt_core.records import Source
from rlt_interfaces.msg import ActionChunk, Transition
from rlt_node import qos

from .bench import DELAY_TICKS, Bench
from .rows import Make, row
from .stubs import SPEED, Bend

CHUNK = 10
STRETCH = 10
TICK_S = 0.02
ANSWER_S = TICK_S * (DELAY_TICKS + CHUNK)  # from any moment to the start of a chunk answered after


def once(bend: Callable[[ActionChunk], ActionChunk]) -> tuple[Bend, list[ActionChunk]]:
    """A fault that hits the next chunk only, and the list that then holds that chunk."""
    hit: list[ActionChunk] = []

    def apply(message: ActionChunk) -> list[ActionChunk]:
        if hit:
            return [message]
        hit.append(message)
        return [bend(message)]

    return apply, hit


def put(message: ActionChunk, values: dict[tuple[int, str], float]) -> ActionChunk:
    """Overwrite elements of the actions, by row and axis."""
    names = list(message.axis_names)
    for (place, axis), value in values.items():
        message.actions[place * len(names) + names.index(axis)] = value
    return message


def refused_chunk(
    bench: Bench, bend: Callable[[ActionChunk], ActionChunk], *words: str
) -> str:
    """One bad chunk: a hold for its ticks, one line, then the next chunk; returns the line."""
    bench.mark()
    fault = time.monotonic()
    bench.policy.bend, hit = once(bend)
    bench.wait(lambda: hit, "the bad chunk")
    start = hit[0].start_tick
    hold = bench.held(fault, ANSWER_S + CHUNK * TICK_S, ticks=3)
    assert hold.tick == start, f"held from tick {hold.tick}, the bad chunk begins at {start}"
    bench.resumes(hold.at)
    bench.steady()
    held = [s.tick for s in bench.steps if s.tick >= start and s.source is Source.HOLD]
    assert held == list(range(start, start + CHUNK)), f"held at ticks {held}"
    assert all(step.obs_tick != hit[0].obs_tick for step in bench.steps), "it was executed"
    return bench.said_once("action chunk", str(start), *words)


def quoted(line: str, length: int = 150) -> str:
    """A log line for the table."""
    return f'"{line}"' if len(line) <= length else f'"{line[:length].rstrip()} …"'


REFUSED = "refused completely; hold for its 10 ticks, then the next chunk"


@row(1, "NaN in one action element",
     "chunk refused, hold; tick and axis named; never executed", "bad chunk", ci=True)
def nan_in_a_chunk(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    line = refused_chunk(bench, lambda m: put(m, {(3, "y"): math.nan}), "[3, y] = nan")
    bench.judge()
    return f"{REFUSED}: {quoted(line)}"


@row(2, "+Inf and -Inf actions", "as 1; never clamped to a limit", "bad chunk")
def infinite_chunk(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    for value in (math.inf, -math.inf):
        line = refused_chunk(
            bench, lambda m, value=value: put(m, {(0, "x"): value}), f"[0, x] = {value}"
        )
        bench.quiet()
    bench.judge()
    return f"both {REFUSED}: {quoted(line)}"


@row(3, "wrong chunk length, wrong number of axes",
     "refused before the queue; expected and found named", "bad chunk")
def misshapen_chunk(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()

    def short(message: ActionChunk) -> ActionChunk:
        message.actions, message.chunk = message.actions[: 7 * 4], 7
        return message

    def narrow(message: ActionChunk) -> ActionChunk:
        message.axis_names = message.axis_names[:3]
        message.actions, message.tail = message.actions[:30], message.tail[: 3 * 36]
        return message

    lines = []
    for bend, found in ((short, "(7, 4)"), (narrow, "(10, 3)")):
        lines.append(refused_chunk(bench, bend, found, "expected (10, 4)"))
        bench.quiet()
    bench.judge()
    return f"both {REFUSED}: {quoted(lines[0])}"


@row(4, "permuted axis names; foreign axis names", "reordered by name; refused", "bad chunk")
def permuted_names(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()

    def permuted(message: ActionChunk) -> list[ActionChunk]:
        order = [3, 1, 0, 2]
        names = list(message.axis_names)
        message.axis_names = [names[i] for i in order]
        for part in ("actions", "tail"):
            matrix = np.array(getattr(message, part)).reshape(-1, 4)[:, order]
            setattr(message, part, matrix.ravel().tolist())
        return [message]

    bench.policy.bend = permuted
    bench.pass_ticks(3 * CHUNK)
    first = bench.steps[-1].tick
    bench.pass_ticks(3 * CHUNK)
    for step in bench.steps:
        if step.tick >= first:
            wanted = bench.policy.motion(step.tick, step.tick + 1)[0]
            assert np.allclose(step.increment, wanted, atol=1e-8), (step, wanted)
    assert not bench.errors(), bench.errors()

    def foreign(message: ActionChunk) -> ActionChunk:
        message.axis_names = ["x", "y", "z", "roll"]
        return message

    line = refused_chunk(bench, foreign, "roll", "(x, y, z, yaw)")
    bench.judge()
    return f"permuted: executed as named, axis by axis; foreign: {REFUSED}: {quoted(line)}"


@row(5, "actions ten times too large", "refused; after three in a row a hold that lasts until "
     "the next episode", "bad chunk")
def tenfold_scale(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    fault, good = time.monotonic(), bench.policy.bend

    def tenfold(message: ActionChunk) -> list[ActionChunk]:
        message.actions = (10.0 * np.array(message.actions)).tolist()
        return [message]

    bench.policy.bend = tenfold
    hold = bench.held(fault, ANSWER_S + CHUNK * TICK_S, ticks=4 * CHUNK)
    bench.policy.bend = good
    bench.pass_ticks(4 * CHUNK)  # good chunks again: too late
    bench.no_policy(hold.at)
    line = bench.said_once("action chunk", "velocity limit", "until the next episode")
    bench.next_episode_drives()
    bench.judge()
    return f"hold, latched; good chunks did not end it, the next episode did: {quoted(line)}"


@row(6, "target outside the workspace", "clipped at the edge; counted; flagged in the control "
     "steps and in the transitions", "bad chunk")
def out_of_workspace(make: Make) -> str:
    bench = make()
    bench.arm.place(0.74, 0.0, 0.06, 0.0)
    bench.start("chunk_controller")
    bench.start("recorder")
    transitions = bench.heard(Transition, "transitions", qos.LOG)
    bench.policy.velocity = np.array([SPEED, 0.0, 0.0, 0.0], np.float32)
    bench.drive()
    bench.wait(
        lambda: sum("workspace" in step.limited for step in bench.steps) > 3 * CHUNK, "the edge"
    )
    bench.end_episode()
    bench.wait(lambda: any(m.commit == m.COMMIT_EPISODE_END for m in transitions), "the record")
    edge = max(sent.setpoint[0] for sent in bench.arm.log)
    clipped = {step.tick for step in bench.steps if "workspace" in step.limited}
    flagged = sum(any(message.limited) for message in transitions)
    assert flagged, "no transition is flagged"
    assert not bench.errors(), bench.errors()
    bench.judge()
    return (
        f"set-point stopped at x = {edge:.3f} m, the limit; {len(clipped)} ticks flagged "
        f"`workspace`, {flagged} of {len(transitions) - 1} transitions flagged"
    )


@row(8, "chunks arrive later than the queue lasts", "queue runs dry, decelerated hold; expired "
     "ticks are skipped, no burst", "bad time", ci=True)
def late_chunks(make: Make) -> str:
    bench = make(judges_pace=True)
    bench.start("chunk_controller")
    bench.drive()
    fault, queue = time.monotonic(), (CHUNK + STRETCH) * TICK_S
    bench.policy.delay_ticks = 35
    hold = bench.held(fault, ANSWER_S + queue, ticks=4 * CHUNK)
    bench.no_policy(hold.at)
    bench.policy.delay_ticks = 0
    repaired = time.monotonic()
    bench.resumes(repaired)
    bench.steady()
    line = bench.said_once("action_chunk")
    bench.judge()
    stretched = sum(step.source is Source.BASE for step in bench.since(fault))
    return (
        f"{stretched} ticks of the old reference, then hold; late chunks refused; resumed with the "
        f"first timely one, without a burst: {quoted(line)}"
    )


@row(9, "chunks out of order", "the older observation's chunk is dropped", "bad time")
def out_of_order(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    kept: list[ActionChunk] = []

    def swap(message: ActionChunk) -> list[ActionChunk]:
        kept.append(message)
        if len(kept) == 1:
            return []
        return [message, kept[0]] if len(kept) == 2 else [message]

    bench.policy.bend = swap
    bench.wait(lambda: len(kept) > 4, "five chunks")
    older, newer = kept[0], kept[1]
    executed = {step.obs_tick for step in bench.steps}
    assert older.obs_tick not in executed, "the older chunk was executed"
    assert newer.obs_tick in executed, "the newer chunk was not executed"
    assert all(step.source is not Source.HOLD for step in bench.since(bench.marked_at))
    line = bench.said_once("action chunk", str(older.start_tick), "dropped")
    bench.judge()
    return f"older chunk dropped, newer one executed, no hold: {quoted(line)}"


@row(10, "every chunk arrives twice", "idempotent", "bad time")
def repeated_chunks(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    bench.policy.bend = lambda message: [message, message]
    bench.pass_ticks(4 * CHUNK)
    first = bench.steps[-1].tick
    bench.pass_ticks(4 * CHUNK)
    for step in bench.steps:
        if step.tick >= first:
            wanted = bench.policy.motion(step.tick, step.tick + 1)[0]
            assert np.allclose(step.increment, wanted, atol=1e-8), f"tick {step.tick} differs"
    line = bench.said_once("action chunk", "already answered", "dropped")
    bench.judge()
    return f"motion unchanged tick by tick; the copies are dropped: {quoted(line)}"
