"""What shared memory does to killed nodes and to images, compared with the profile of env.sh.

Four measures, each over Fast DDS's own transports for one machine
(ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST: shared memory and UDP) and over
config/dds/this_machine.xml (UDP on the loopback interface):

* a node is killed with SIGKILL and restarted, again and again, while messages flow to and from it
  and other processes take most of the cores: how many of the restarted ones do not receive from a
  node that stayed alive;
* images of 640x480 at 30 Hz, best effort: how many of them arrive;
* a message of 700 floats there and back: how long it takes;
* a node is killed and restarted while nothing else runs: how long after the start of its process
  it has answered a node that stayed alive.

Prints a table; exits with 1 if over our profile a node was deaf, or more than 1 % of images lost.

    python benchmarks/transport.py
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from std_msgs.msg import Float32MultiArray, Int32, UInt8MultiArray

from rlt_node import qos

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testing"))
from domains import claimed_domain

PROFILE = Path(__file__).resolve().parents[1] / "config" / "dds" / "this_machine.xml"
ARMS = {
    "LOCALHOST": {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    "this_machine.xml": {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE),
    },
}
CHOSEN = ARMS["this_machine.xml"]
DEAF_S = 25.0
BUSY_BYTES = 60_000  # of each message in flight while a node is killed: three small images
BUSY_TOPICS = 6
IMAGE_BYTES, IMAGE_HZ = 640 * 480 * 3, 30.0
FLOATS = 700


class Side:
    """One process's node."""

    def __init__(self, name: str, executor: type = EventsExecutor) -> None:
        """Join the domain."""
        rclpy.init()
        self.node = rclpy.create_node(name)
        self._executor = executor()
        self._executor.add_node(self.node)
        self.send = self.node.create_publisher

    def hear(self, kind: type, topic: str, then: Callable[[Any], None], profile: Any) -> None:
        """Call `then` with every message."""
        self.node.create_subscription(kind, topic, then, profile)

    def wait(self, seconds: float, condition: Callable[[], bool] = lambda: False) -> bool:
        """Spin until the condition holds or the time is over; return whether it holds."""
        deadline = time.monotonic() + seconds
        while not condition() and (left := deadline - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=min(left, 0.02))
        return condition()

    def be_busy(self, direction: str) -> None:
        """Send large messages from now on."""
        message = UInt8MultiArray(data=bytes(BUSY_BYTES))
        senders = [
            self.send(UInt8MultiArray, f"{direction}_{number}", qos.BARRIER)
            for number in range(BUSY_TOPICS)
        ]
        self.node.create_timer(0.01, lambda: [sender.publish(message) for sender in senders])


# ---- The other process ----------------------------------------------------------------------


def restarted(generation: int) -> None:
    """Receive from the node that stays alive, and answer it."""
    side = Side("restarted", SingleThreadedExecutor)
    heard: set[int] = set()
    answers = side.send(Int32, "answer", qos.BARRIER)
    side.be_busy("back")

    def on(number: int) -> None:
        if number not in heard:
            heard.add(number)
            if len(heard) == BUSY_TOPICS:
                answers.publish(Int32(data=generation))

    for number in range(BUSY_TOPICS):
        side.hear(
            UInt8MultiArray, f"there_{number}", lambda _, n=number: on(n), qos.BARRIER
        )
    side.wait(float("inf"))


def camera(images: int) -> None:
    """Send images."""
    side = Side("camera")
    sender = side.send(UInt8MultiArray, "image", qos.SENSOR)
    side.wait(DEAF_S, lambda: sender.get_subscription_count() > 0)
    message = UInt8MultiArray(data=bytes(IMAGE_BYTES))
    due = time.monotonic() + 1.0  # the other side knows of this one too
    for _ in range(images):
        side.wait(due - time.monotonic())
        sender.publish(message)
        due += 1.0 / IMAGE_HZ
    side.wait(1.0)


def echo(_: int) -> None:
    """Send back what arrives."""
    side = Side("echo")
    sender = side.send(Float32MultiArray, "pong", qos.BARRIER)
    side.hear(Float32MultiArray, "ping", sender.publish, qos.BARRIER)
    side.wait(float("inf"))


def busy(_: int) -> None:
    """Use a core for as long as the parent lives."""
    parent = os.getppid()
    while os.getppid() == parent:
        pass


# ---- This process ---------------------------------------------------------------------------


def start(role: str, number: int = 0) -> subprocess.Popen[bytes]:
    """Start the other process."""
    command = [sys.executable, __file__, "--role", role, str(number)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def starve() -> None:
    """Leave this process and its children little of the cores, so that a kill interrupts more."""
    for _ in range(len(os.sched_getaffinity(0)) + 1):
        start("busy")
    os.nice(10)


def count_deaf(kills: int) -> str:
    """Kill and restart; return how many of the restarted ones received nothing."""
    starve()
    side, answers, deaf = Side("survivor", SingleThreadedExecutor), {-1}, 0
    side.hear(Int32, "answer", lambda message: answers.add(message.data), qos.BARRIER)
    for number in range(BUSY_TOPICS):
        side.hear(UInt8MultiArray, f"back_{number}", lambda _: None, qos.BARRIER)
    side.be_busy("there")
    for generation in range(kills):
        process = start("restarted", generation)
        deaf += not side.wait(DEAF_S, lambda wanted=generation: wanted in answers)
        side.wait(random.uniform(0.0, 0.3))
        process.kill()
        process.wait()
    return f"{deaf} of {kills}"


def count_images(images: int) -> str:
    """Return the share of images that arrived, in percent."""
    side, arrived = Side("viewer"), 0

    def on(_: UInt8MultiArray) -> None:
        nonlocal arrived
        arrived += 1

    side.hear(UInt8MultiArray, "image", on, qos.SENSOR)
    process = start("camera", images)
    side.wait(DEAF_S + images / IMAGE_HZ + 60.0, lambda: process.poll() is not None)
    return f"{100.0 * arrived / images:.1f}"


def time_round_trips(count: int) -> str:
    """Return how long a message took there and back, ms."""
    side, pongs = Side("asker"), 0

    def on(_: Float32MultiArray) -> None:
        nonlocal pongs
        pongs += 1

    side.hear(Float32MultiArray, "pong", on, qos.BARRIER)
    sender = side.send(Float32MultiArray, "ping", qos.BARRIER)
    process = start("echo")
    message, took = Float32MultiArray(data=[0.5] * FLOATS), []
    for number in range(count + 1):
        began = time.perf_counter()
        sender.publish(message)
        assert side.wait(DEAF_S, lambda wanted=number: pongs > wanted), "no echo"
        took.append(1e3 * (time.perf_counter() - began))
    process.kill()
    process.wait()
    p50, p99 = np.percentile(took[1:], (50, 99))  # the first one waits for the other process
    return f"{p50:.2f}, {p99:.2f}"


def time_restarts(kills: int) -> str:
    """Return how long a restarted process took until it had answered, s."""
    side, pongs, took = Side("asker"), 0, []

    def on(_: Float32MultiArray) -> None:
        nonlocal pongs
        pongs += 1

    side.hear(Float32MultiArray, "pong", on, qos.BARRIER)
    side.send(Float32MultiArray, "ping", qos.LATEST).publish(Float32MultiArray(data=[0.5]))
    for number in range(kills):
        began, process = time.perf_counter(), start("echo")
        assert side.wait(DEAF_S, lambda wanted=number: pongs > wanted), "no echo"
        took.append(time.perf_counter() - began)
        side.wait(random.uniform(0.0, 3.0))  # at any moment between two announcements
        process.kill()
        process.wait()
    return f"{np.median(took):.1f}, {max(took):.1f}"


OTHERS = {each.__name__: each for each in (restarted, camera, echo, busy)}
MEASURES = {
    each.__name__: each for each in (count_deaf, count_images, time_round_trips, time_restarts)
}


def main() -> int:
    """Measure both arms; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--trips", type=int, default=1000)
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)  # of a process of this one
    arguments = parser.parse_args()
    if arguments.role:
        role, number = arguments.role
        print((OTHERS | MEASURES)[role](int(number)), flush=True)
        os._exit(0)
    print(
        "| transport | deaf after kill -9 | images arrived, % | there and back, ms: p50, p99 "
        "| answers after a restart, s: median, max |"
    )
    print("| --- | --- | --- | --- | --- |", flush=True)
    numbers = (arguments.kills, arguments.images, arguments.trips, arguments.kills)
    for name, chosen in ARMS.items():
        plain = {key: value for key, value in os.environ.items() if key not in CHOSEN}
        cells = []
        for measure, number in zip(MEASURES, numbers, strict=True):
            with claimed_domain() as domain:
                done = subprocess.run(
                    [sys.executable, __file__, "--role", measure, str(number)],
                    env=plain | chosen | {"ROS_DOMAIN_ID": str(domain)},
                    stdout=subprocess.PIPE, encoding="utf-8", check=True,
                )
            cells.append(done.stdout.strip())
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return int(not cells[0].startswith("0 ") or float(cells[1]) < 99.0)


if __name__ == "__main__":
    sys.exit(main())
