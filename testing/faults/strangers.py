"""Faults 39 to 42: what does not belong to the run, and what is too large for it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from seeded_robot import AGENT

from rlt_core.records import Source
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, RecorderStatus
from rlt_node import qos

from .bench import DELAY_TICKS, MODEL
from .chunks import CHUNK, quoted
from .records import Records
from .rows import Make, row

NUMBERS = 10**7
LARGEST_MB, FLOOD_MB = 100, 120  # of one message, and in half of the flood on a record's topic
DROPPED = {
    "chunk_controller": ("action_chunk", "human_command"), "policy": ("policy_weights",),
    "recorder": ("features",), "learner": ("transitions",),
}
LOOK_S = 0.5 + 0.5  # the controller looks twice a second; discovery takes a moment


@row(40, "a second publisher on the robot's command topic", "found within a second; hold; its node "
     "and GID are named; acts again on a fresh chunk once it is gone", "stranger", ci=True)
def second_commander(make: Make) -> str:
    bench = make()
    bench.start("chunk_controller")
    bench.drive()
    planner = bench.node("planner")
    fault = time.monotonic()
    rival = planner.create_publisher(PoseStamped, "target_pose", qos.COMMAND)
    hold = bench.held(fault, LOOK_S, ticks=4 * CHUNK)
    gid = next(
        ".".join(f"{octet:02x}" for octet in each.endpoint_gid)
        for each in planner.get_publishers_info_by_topic("target_pose")
        if each.node_name == "planner"
    )
    bench.no_policy(hold.at)
    gone = time.monotonic()
    newest = bench.steps[-1].tick
    planner.destroy_publisher(rival)
    bench.resumes(gone)
    bench.steady()
    first = next(step for step in bench.since(gone) if step.source is not Source.HOLD)
    assert first.obs_tick >= newest, "acted on a chunk from before"
    line = bench.said_once("chunk_controller", "/rlt/target_pose", "/rlt/planner", gid)
    bench.judge()
    return (
        f"hold after {hold.delay:.2f} s; acted again {first.at - gone:.2f} s after the other was "
        f"gone: {quoted(line)}"
    )


@row(41, "messages of 40 to 100 MB on the topics of all records; small ones that claim 2^31 "
     "numbers", "dropped as bytes, logged once per topic; memory stays bounded, the middleware's "
     "buffers included; the control rate is kept", "stranger")
def oversized_messages(make: Make) -> str:
    bench = make(judges_pace=True)  # a flood on its own machine costs it ticks
    output, told = str(bench.graph.folder / "run"), []
    for kind in (LearnerStatus, RecorderStatus):
        bench.listen(kind, f"{kind.__name__[:-6].lower()}_status", qos.LATEST, told.append)
    infos = bench.heard(PolicyInfo, "policy_info", qos.LATEST)
    bench.start("chunk_controller", "policy")
    bench.start("recorder", "learner", output=output)
    bench.drive()
    bench.wait(lambda: {type(m) for m in told} == {LearnerStatus, RecorderStatus}, "both")
    bench.wait(lambda: {info.inference_p50_ms > 0 for info in infos} == {True, False}, "the policy")
    flood = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("flood.py")), str(NUMBERS)],
        env=bench.graph.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    bench.closing.append(flood.kill)
    bench.mark()
    first, memory = bench.steps[-1], []
    for _ in range(2):
        flood.stdin.write("again\n")
        flood.stdin.flush()
        assert flood.stdout.readline() == "sent\n"
        bench.pass_ticks(CHUNK)
        memory.append(_resident(bench))
    bench.steady()
    last = bench.steps[-1]
    rate = (last.tick - first.tick) / (last.at - first.at)
    assert rate > 0.9 * bench.contract.rate_hz, f"{rate:.1f} control steps per second"
    for name, topics in DROPPED.items():
        for topic in topics:
            said = [line for line in bench.errors() if line.startswith(f"{name}: {topic}: ")]
            assert len(said) == 1 and "dropped" in said[0], (topic, said)
    # The middleware keeps the buffers of messages that waited together, and reuses them.
    grown = max(memory[1][name] - memory[0][name] for name in DROPPED)
    assert grown < 2.5 * LARGEST_MB, f"grew by {grown} MiB: {memory}"
    bench.judge_setpoints()
    held = sum(step.source is Source.HOLD for step in bench.since(first.at))
    return (
        f"dropped in all four nodes, one line per topic; {rate:.1f} control steps a second, {held} "
        f"of {last.tick - first.tick} held; in the second half no process grew by more than "
        f"{grown} MiB, of {FLOOD_MB} MB sent to each topic: {quoted(bench.errors()[0])}"
    )


def _resident(bench: Any) -> dict[str, int]:
    """Resident memory of the processes, MiB."""
    found = {}
    for name in DROPPED:
        status = Path(f"/proc/{bench.graph.processes[name].pid}/status").read_text()
        found[name] = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) // 1024
    return found


@row(42, "a second recorder of the same run, on this machine and on another", "the second is "
     "refused and names the first; the first continues", "stranger", ci=True)
def second_recorder(make: Make) -> str:
    records = make(Records)
    first = records.start("recorder")
    records.wait(lambda: records.recorder.run == "run", "the recorder")
    records.run_episode(1)
    records.closed(1)
    there = {
        "model": MODEL, "mode": "real_time",
        "output": records.output.with_name("another_machine"),
    }
    words = [word for name, value in there.items() for word in ("-p", f"{name}:={value}")]
    # A claim covers this machine only: under another name the second seems to be on another one.
    for arguments, named in ((), ":"), (("-r", "__node:=elsewhere", *words), " on "):
        records.graph.start("recorder", *arguments)
        assert records.graph.ended("recorder") == 1
        said = records.graph.log("recorder").splitlines()[-1]
        assert f"process {first.pid}{named}" in said, said
    records.graph.processes["recorder"] = first
    records.run_episode(2)
    records.closed(2)
    assert first.poll() is None
    log = records.nothing_lost_or_doubled()
    return f"both ended with code 1, {len(log)} commits of the first are intact: {quoted(said)}"


@row(39, "a contract hash that does not match", "refused, with both hashes, by policy, recorder "
     "and learner: before they do anything, and record by record", "stranger")
def other_contract(make: Make) -> str:
    records = make(Records)
    other = {"planning_delay_ticks": DELAY_TICKS}
    hashes = records.contract.hash(), records.contract.replace(**other).hash()
    records.begin()
    for number in (1, 2):
        records.run_episode(number)
        records.closed(number)
    records.caught_up(len(records.log()))
    for name in ("learner", "recorder"):
        assert records.graph.stop(name) == 0
    checkpoint = str(records.output / "checkpoint")
    records.start("recorder", **other)
    records.start("learner", **other)
    records.graph.start(
        "policy", model=str(MODEL), checkpoint=checkpoint, hidden_dim=AGENT["hidden_dim"], **other
    )
    for name in ("recorder", "learner", "policy"):
        assert records.graph.ended(name) == 1
        last = records.graph.log(name).splitlines()[-1]
        assert all(digest in last for digest in hashes), last
    records.forget()
    records.mark()
    records.start("recorder", output=str(records.output.with_name("other")), **other)
    records.wait(lambda: records.recorder.run == "run", "the recorder")
    records.run_episode(3)
    line = records.said_once("recorder", "features", *hashes)
    return (
        f"exit code 1 on log, checkpoint and weights of another contract; its features are "
        f"dropped: {quoted(line, 250)}"
    )
