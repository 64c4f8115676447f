"""Faults 39 to 42: what does not belong to the run, and what is too large to be of it."""

from __future__ import annotations

import time

from geometry_msgs.msg import PoseStamped

from rlt_core.records import Source
from rlt_node import qos

from .chunks import CHUNK, quoted
from .rows import Make, row

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
        f"hold after {hold.delay:.2f} s; acted again {first.at - gone:.2f} s after the other had "
        f"gone: {quoted(line)}"
    )
