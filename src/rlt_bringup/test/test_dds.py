"""How the nodes of one machine reach each other when nothing is configured."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from domains import BASE_PORT, PORTS

from rlt_learner.recorder.recorder_node import HISTORY_SECONDS

ROOT = Path(__file__).resolve().parents[3]
OURS = str(ROOT / "config" / "dds" / "this_machine.xml")
CHOICES = (
    "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY",
    "RMW_IMPLEMENTATION", "ROS_STATIC_PEERS",
)
PARTICIPANT = 10 + 2 * 5  # of a port: where the sixth node of a domain hears announcements
FIRST_ANNOUNCEMENTS = 6  # those of the start, in half a second
NODE = """
import json, os, rclpy
rclpy.init()
node = rclpy.create_node("somebody")
held = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
print(json.dumps([open("/proc/self/maps").read(), open("/proc/self/net/udp").read(), held]))
"""


def without_choices(**chosen: str) -> dict[str, str]:
    """This environment, with only these DDS settings."""
    return {name: value for name, value in os.environ.items() if name not in CHOICES} | chosen


def test_a_node_uses_no_shared_memory_and_hears_nobody_outside_the_machine(domain):
    printed = subprocess.run(
        [sys.executable, "-c", NODE], capture_output=True, text=True, timeout=120, check=True,
        env=without_choices(
            FASTRTPS_DEFAULT_PROFILES_FILE=OURS, ROS_AUTOMATIC_DISCOVERY_RANGE="SYSTEM_DEFAULT",
            ROS_DOMAIN_ID=str(domain),
        ),
    ).stdout
    maps, sockets, held = json.loads(printed)
    assert "/dev/shm/fastrtps" not in maps
    mine = {path[path.index("["):] for path in held if "socket:" in path}
    addresses = set()
    for line in sockets.splitlines()[1:]:
        fields = line.split()
        if f"[{fields[9]}]" in mine:
            addresses.add(socket.inet_ntoa(bytes.fromhex(fields[1][:8])[::-1]))
    assert addresses == {"127.0.0.1"}


def test_a_node_announces_itself_often_enough_for_what_others_wait(domain):
    """A restarted node may find it only then; the recorder waits for `HISTORY_SECONDS`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", BASE_PORT + PORTS * domain + PARTICIPANT))
        another.settimeout(90.0)
        node = subprocess.Popen(
            [sys.executable, "-c", f"{NODE}import time; time.sleep(200.0)"],
            stdout=subprocess.DEVNULL,
            env=without_choices(
                FASTRTPS_DEFAULT_PROFILES_FILE=OURS, ROS_AUTOMATIC_DISCOVERY_RANGE="SYSTEM_DEFAULT",
                ROS_DOMAIN_ID=str(domain),
            ),
        )
        try:
            for _ in range(FIRST_ANNOUNCEMENTS):
                another.recv(65536)
            began = time.monotonic()
            for _ in range(6):
                another.recv(65536)
            assert (time.monotonic() - began) / 6 < HISTORY_SECONDS / 2
        finally:
            node.kill()
            node.wait()


@pytest.mark.parametrize(
    ("chosen", "profile", "discovery"),
    [
        ({}, OURS, "SYSTEM_DEFAULT"),
        (  # by env.sh of another clone, in the same shell
            {
                "FASTRTPS_DEFAULT_PROFILES_FILE": "/elsewhere/config/dds/this_machine.xml",
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
            },
            OURS, "SYSTEM_DEFAULT",
        ),
        (  # the same, and then the user wants more
            {
                "FASTRTPS_DEFAULT_PROFILES_FILE": "/elsewhere/config/dds/this_machine.xml",
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
            },
            "", "SUBNET",
        ),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "", "SUBNET"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "", ""),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "/lab/dds.xml"}, "/lab/dds.xml", ""),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, "", "LOCALHOST"),
        ({"ROS_STATIC_PEERS": "192.168.10.3"}, "", "LOCALHOST"),
    ],
)
def test_env_chooses_where_nothing_is_chosen(chosen, profile, discovery):
    printed = subprocess.run(
        ["bash", "-c", f'source "{ROOT}/env.sh" && echo "=$FASTRTPS_DEFAULT_PROFILES_FILE='
         '$ROS_AUTOMATIC_DISCOVERY_RANGE="'],
        capture_output=True, text=True, timeout=120, check=True, env=without_choices(**chosen),
    ).stdout
    assert re.search("=(.*)=(.*)=", printed).groups() == (profile, discovery)
