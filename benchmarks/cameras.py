"""What cameras cost: processor time of their images; what slow and late ones do to a run.

First measures the processor time of one 640x480 image in the observer: to unpack its message, and
to decode it and fit it to the model's size. Prints it for each encoding, with the share of two
cores that three such cameras at 30 Hz take if the observer uses every image.

Then runs the base policy on the simulated robot in real time, with cameras of a given rate and
latency, and counts for each pair: how many of the due observations the observer published, how many
ticks of running episodes the controller held after the first second of each, and how many episodes
succeeded.

Prints two tables; exits with 1 if three cameras take more than a quarter of two cores, or if fewer
than 95 % of the due observations were published for any pair.

    python benchmarks/cameras.py
    python benchmarks/cameras.py --episodes 20 --cameras 30:0.03
    python benchmarks/cameras.py --cameras      # the processor time alone
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "testing"))

from camera_pictures import encoded  # noqa: E402
from domains import claimed_domain  # noqa: E402
from graphs import MODEL, Graph, Watcher  # noqa: E402
from late_camera import LateCameras  # noqa: E402

from rlt_core.contract import CameraSpec, Contract  # noqa: E402
from rlt_core.records import Source  # noqa: E402
from rlt_interfaces.msg import Observation  # noqa: E402
from rlt_node import qos  # noqa: E402
from rlt_node.conversions import serialised  # noqa: E402
from rlt_policy.observer.camera_images import camera_image  # noqa: E402

AGREED = {"model": str(MODEL), "mode": "real_time", "planning_delay_ticks": 4}
CONTRACT = Contract.load(MODEL / "contract.json")
CAMERAS = [camera.name for camera in CONTRACT.cameras]
GOAL = 0.95
ENCODINGS = ("rgb8", "bgr8", "yuyv", "jpeg")
WIDTH, HEIGHT, SIZES = 640, 480, (224, 64)
REPEATS = 50
BUSY_CAMERAS, BUSY_HZ, BUSY_CORES, BUSY_GOAL = 3, 30.0, 2, 0.25
FIRST = 50  # ticks of an episode in which the policy may still wait for its first chunk
LIMIT_S = 600.0


def main() -> int:
    """Measure each camera; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=8, help="episodes with each camera")
    parser.add_argument(
        "--cameras", nargs="*", default=["50:0", "30:0", "30:0.03", "30:0.06"],
        help="rate in Hz and latency in s, as 30:0.03",
    )
    options = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average at the start {load:.1f}" + " (contended)" * (load > cores))
    busiest, worst = print_costs(), 1.0
    if options.cameras:
        print("\n| images, Hz | late, ms | observations due | ticks held | episodes succeeded |")
        print("| --- | --- | --- | --- | --- |")
    for camera in options.cameras:
        rate, latency = map(float, camera.split(":"))
        with claimed_domain() as domain, tempfile.TemporaryDirectory() as folder:
            came, held, succeeded = measure(domain, Path(folder), rate, latency, options.episodes)
        worst = min(worst, came)
        print(
            f"| {rate:g} | {1e3 * latency:g} | {100 * came:.1f} % | {100 * held:.1f} % | "
            f"{succeeded} of {options.episodes} |", flush=True,
        )
    return int(worst < GOAL or busiest > BUSY_GOAL)


def print_costs() -> float:
    """Print the processor time of an image per encoding; return the largest share of the cores."""
    print(f"OpenCV {cv2.__version__}; processor time, ms, of an image of {WIDTH}x{HEIGHT}")
    sizes = " | ".join(f"{size}x{size} | share of {BUSY_CORES} cores" for size in SIZES)
    print(f"| encoding | unpack | {sizes} |")
    print("| --- " * (2 + 2 * len(SIZES)) + "|")
    shares = []
    for encoding in ENCODINGS:
        message = taken_image(encoding)
        data = serialised(message)
        unpacked = processor_time(deserialize_message, data, type(message))
        row = f"| {encoding} | {1e3 * unpacked:.2f} |"
        for size in SIZES:
            spec = CameraSpec("camera", size, size)
            fitted = processor_time(camera_image, message, spec)
            shares.append(BUSY_CAMERAS * BUSY_HZ * (unpacked + fitted) / BUSY_CORES)
            row += f" {1e3 * fitted:.2f} | {100 * shares[-1]:.1f} % |"
        print(row, flush=True)
    return max(shares)


def taken_image(encoding: str) -> Image | CompressedImage:
    """A smooth picture with noise, as a camera takes it."""
    noise = np.random.default_rng(0)
    coarse = noise.integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), np.uint8)
    picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    picture = cv2.add(picture, noise.integers(0, 6, picture.shape, np.uint8))
    if encoding != "jpeg":
        return encoded(picture, encoding)
    file = cv2.imencode(".jpg", picture[:, :, ::-1])[1]  # quality 95
    return CompressedImage(format="rgb8; jpeg compressed bgr8", data=file.tobytes())


def processor_time(function: Callable[..., object], *arguments: object) -> float:
    """Processor time of a call, all its threads together, s: the median of several calls."""
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        function(*arguments)
        spent.append(time.process_time() - began)
    return median(spent)


def measure(
    domain: int, folder: Path, rate: float, latency: float, episodes: int
) -> tuple[float, float, int]:
    """Share of due observations published, share of ticks held, and episodes that succeeded."""
    graph, watcher = Graph(domain, folder), Watcher(domain)
    cameras = LateCameras(domain, CAMERAS, rate, latency)
    seen: set[int] = set()
    watcher.node.create_subscription(
        Observation, "observation", lambda message: seen.add(message.tick), qos.BARRIER
    )
    try:
        graph.start("policy", **AGREED)
        graph.start("simulator", *LateCameras.remapping(CAMERAS), mode="real_time", stride=1)
        graph.start("observer", **AGREED)
        graph.start("chunk_controller", **AGREED)
        graph.start(
            "episodes", job="evaluate_base", base_eval_episodes=episodes,
            output=str(folder / "run"), **AGREED,
        )
        watcher.wait_for(
            lambda: graph.processes["episodes"].poll() is not None, "the run to end", LIMIT_S
        )
        lines = (folder / "run" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    finally:
        cameras.close()
        graph.end()
        watcher.close()
    ticks = Counter()
    running = []
    for step in watcher.steps:
        ticks[step.episode] += 1
        if step.episode and ticks[step.episode] > FIRST:
            running.append(step)
    due = {step.tick for step in running if step.tick % CONTRACT.stride == 0}
    held = sum(step.source == Source.HOLD for step in running) / len(running)
    outcomes = [json.loads(line)["outcome"] for line in lines]
    return len(due & seen) / len(due), held, outcomes.count("success")


if __name__ == "__main__":
    sys.exit(main())
