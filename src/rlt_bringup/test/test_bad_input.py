"""Bad input ends in one clear sentence and exit code 1, and leaves nothing half-written."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import rclpy
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.context import Context
from robot_files import robot_like_sim
from sensor_msgs.msg import Image

from rlt_node import qos
from rlt_node.conversions import fill_pose_down, stamp_of_tick

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "ethernet"


def launch(domain: int, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a launch that ends by itself."""
    done = subprocess.run(
        ["ros2", "launch", "rlt_bringup", *arguments],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train.launch.py", "task:=tea"), "there is no task 'tea': expected one of ethernet"),
        (("train.launch.py", "episodes:=many"), "episodes:=many is not a whole number"),
        (("train.launch.py", "episodes:=0"), "episodes:=0 is too small: expected 1 or more"),
        (("train.launch.py", "robot:=my.yaml"), "only the simulator can judge success"),
        (
            ("train.launch.py", "robot:=missing.yaml", "supervisor:=human"),
            "there is no robot file",
        ),
        (("evaluate.launch.py", "policy:=missing"), "no checkpoint in"),
    ],
)
def test_launch_arguments(domain, tmp_path, arguments, sentence):
    output = tmp_path / "run"
    code, printed = launch(domain, *arguments, f"output:={output}")
    assert code == 1
    assert sentence in printed
    assert not output.exists()


def test_output_that_is_a_file(domain, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    code, printed = launch(domain, "evaluate.launch.py", f"output:={taken}")
    assert code == 1
    assert f"output folder {taken} cannot be created or written" in printed
    assert taken.read_text() == "mine"


def test_a_killed_node_ends_the_launch_by_name(domain):
    launched = subprocess.Popen(
        ["ros2", "launch", "rlt_bringup", "sim.launch.py"],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    started = next(line for line in launched.stdout if "process started with pid" in line)
    os.kill(int(re.search(r"pid \[(\d+)\]", started).group(1)), signal.SIGKILL)
    printed, _ = launched.communicate(timeout=120)
    assert launched.returncode == 1
    assert "simulator ended with exit code" in printed


def test_missing_model_file(graph, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    (model / "vla.safetensors").unlink()
    graph.start("policy", model=str(model))
    assert graph.ended("policy") == 1
    assert "vla.safetensors" in graph.log("policy")
    assert "pretrain" in graph.log("policy")
    assert "Traceback" not in graph.log("policy")


def test_weights_of_another_contract(graph, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    contract = json.loads((model / "contract.json").read_text())
    contract["vla_digest"] = "0" * 64
    (model / "contract.json").write_text(json.dumps(contract))
    graph.start("policy", model=str(model))
    assert graph.ended("policy") == 1
    assert "0" * 64 in graph.log("policy")
    assert "Traceback" not in graph.log("policy")


def test_nodes_under_different_contracts(graph, tmp_path):
    graph.start("policy", model=str(MODEL), planning_delay_ticks=2)
    graph.start("episodes", model=str(MODEL), output=str(tmp_path / "run"), job="evaluate_base")
    assert graph.ended("episodes") == 1
    assert "the policy works under contract" in graph.log("episodes")
    assert not (tmp_path / "run").exists()


def test_unknown_parameter(graph):
    graph.start("observer", model=str(MODEL), max_skw_s=0.1)
    assert graph.ended("observer") == 1
    assert "unknown parameter(s) max_skw_s" in graph.log("observer")


def test_no_motion_limits(graph, tmp_path):
    def forget(robot):
        del robot["action"][0]["limits"]["y"]["max_tracking_error"]

    file = robot_like_sim(tmp_path, forget)
    process = graph.start("chunk_controller", model=str(MODEL), robot=str(file))
    assert process.wait(90.0) == 1
    said = graph.log("chunk_controller")
    assert "action[0].limits.y.max_tracking_error is missing" in said and "e.g. 0.006" in said


def test_no_robot(graph):
    process = graph.start("learner", model=str(MODEL), robot="")
    assert process.wait(90.0) == 1
    assert "parameter robot is empty" in graph.log("learner")


def test_silent_camera_ends_the_run_and_is_named(graph, tmp_path):
    agreed = {"model": str(MODEL), "silence_s": 3.0}
    graph.start("observer", **agreed)
    graph.start("policy", model=str(MODEL))
    graph.start("chunk_controller", model=str(MODEL))
    graph.start("simulator", "-r", "wrist/image_raw:=wrist/somewhere_else")
    graph.start("episodes", model=str(MODEL), output=str(tmp_path / "run"), job="evaluate_base")
    assert graph.ended("observer") == 1
    assert "no message of wrist/image_raw arrived" in graph.log("observer")
    assert graph.stop("episodes") == 0


def test_silent_policy_ends_the_run_and_is_named(graph, tmp_path):
    graph.start("observer", model=str(MODEL))
    graph.start("policy", model=str(MODEL))
    graph.start("chunk_controller", model=str(MODEL), silence_s=3.0)
    graph.start("simulator", "-r", "wrist/image_raw:=wrist/somewhere_else")
    graph.start("episodes", model=str(MODEL), output=str(tmp_path / "run"), job="evaluate_base")
    assert graph.ended("chunk_controller") == 1
    assert "policy: no action_chunk for tick" in graph.log("chunk_controller")


@pytest.mark.parametrize("broken", ["pose", "wrench"])
def test_nan_in_an_observation(graph, domain, broken):
    graph.start("observer", model=str(MODEL))
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    robot = rclpy.create_node("robot", namespace="/rlt", context=context)
    stamp = stamp_of_tick(10, 50.0)
    pose, wrench, image = PoseStamped(), WrenchStamped(), Image(width=64, height=64, step=192)
    image.encoding, image.data = "rgb8", bytes(64 * 192)
    fill_pose_down(pose, (0.5, 0.0, 0.06, math.nan if broken == "pose" else 0.0))
    wrench.wrench.force.x = math.nan if broken == "wrench" else 0.0
    for kind, topic, message in (
        (PoseStamped, "tcp_pose", pose), (WrenchStamped, "tcp_wrench", wrench),
        (Image, "wrist/image_raw", image), (Image, "scene/image_raw", image),
    ):
        message.header.stamp, message.header.frame_id = stamp, "base_link"
        robot.create_publisher(kind, topic, qos.BARRIER).publish(message)
    assert graph.ended("observer") == 1
    source = f"tcp_{broken}"
    assert f"in {source} is nan at tick 10" in graph.log("observer")
    robot.destroy_node()
    rclpy.shutdown(context=context)
