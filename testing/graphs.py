"""Real nodes as real processes, and a node that watches them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from robot_files import SIM, USERS

from rlt_interfaces.msg import ControlStep, EpisodeState
from rlt_node import qos

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "ethernet"
ENTRY = {
    "simulator": "rlt_sim", "observer": "rlt_policy", "policy": "rlt_policy",
    "chunk_controller": "rlt_policy", "recorder": "rlt_learner", "learner": "rlt_learner",
    "episodes": "rlt_episodes", "operator": "rlt_teleop",
}
PATIENCE_S = 90.0  # far longer than anything here takes, so that a busy machine fails no test


class Graph:
    """Nodes as processes, started with parameters, ended with the test."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain = domain
        self.folder = folder
        self.environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.places: dict[str, tuple[str, ...]] = {}  # node -> command that runs it elsewhere

    def start(
        self, name: str, *arguments: str, namespace: str = "rlt", **parameters: Any
    ) -> subprocess.Popen[bytes]:
        """Start a node; its output goes to `<name>.log`.

        Outside the namespace /rlt, the node and its log are named `<namespace>.<name>`.
        """
        key = name if namespace == "rlt" else f"{namespace}.{name}"
        if name in USERS:
            parameters = {"robot": str(SIM)} | parameters
        file = self.folder / f"{key}.yaml"
        file.write_text(yaml.safe_dump({f"/**/{name}": {"ros__parameters": parameters}}))
        with open(self.folder / f"{key}.log", "ab") as log:
            self.processes[key] = subprocess.Popen(
                [
                    *self.places.get(name, ()),
                    sys.executable, "-c", f"from {ENTRY[name]}.main import {name} as main; main()",
                    "--ros-args", "-r", f"__ns:=/{namespace}", "--params-file", str(file),
                    *arguments,
                ],
                env=self.environment, stdout=log, stderr=log,
            )
        return self.processes[key]

    def log(self, name: str) -> str:
        """What a node has printed so far."""
        return (self.folder / f"{name}.log").read_text()

    def ended(self, name: str, seconds: float = PATIENCE_S) -> int:
        """Exit code of a node that ends by itself."""
        try:
            return self.processes[name].wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} did not end; it printed:\n{self.log(name)}") from None

    def stop(self, name: str, by: int = signal.SIGINT) -> int:
        """Exit code of a node that is asked to end."""
        self.processes[name].send_signal(by)
        return self.ended(name)

    def end(self) -> None:
        """End what still runs, first by SIGTERM: a killed process leaves shared memory behind."""
        running = [process for process in self.processes.values() if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Watcher:
    """Sees every control step and every episode state of the graph."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("watcher", namespace="/rlt", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.steps: list[ControlStep] = []
        self.states: list[EpisodeState] = []
        self.node.create_subscription(ControlStep, "control_step", self.steps.append, qos.LOG)
        self.node.create_subscription(
            EpisodeState, "episode_state", self.states.append, qos.BARRIER
        )

    def wait_for(self, condition, what: str, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
