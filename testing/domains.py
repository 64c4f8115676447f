"""ROS domains that nothing else on this machine uses: one per test."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

DOMAINS = range(1, 101)  # 0 is the default; above 100 the ports are those of outgoing connections
CLAIM = "\0rlt-test-domain-{}"  # abstract: without a file
BASE_PORT, PORTS = 7400, 250  # of DDS: domain d listens on ports from 7400 + 250 d on


@contextlib.contextmanager
def claimed_domain() -> Iterator[int]:
    """Claim a ROS domain that no other test of any suite has, and in which no node listens.

    The claim is a bound abstract Unix socket: it reaches as far as DDS over loopback, across
    users and containers that share the network, and ends with the process, however it ends.

    Raises:
        RuntimeError: If all domains are in use.
    """
    used = _used_ports()
    for domain in random.SystemRandom().sample(DOMAINS, len(DOMAINS)):
        first = BASE_PORT + PORTS * domain
        if not used.isdisjoint(range(first, first + PORTS)):
            continue  # other nodes, or nodes that have not ended yet
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
            try:
                claim.bind(CLAIM.format(domain))
            except OSError:
                continue
            yield domain
            return
    raise RuntimeError(f"all ROS domains from 1 to {DOMAINS[-1]} are in use: end their nodes")


def _used_ports() -> set[int]:
    """UDP ports that are bound on this machine."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
