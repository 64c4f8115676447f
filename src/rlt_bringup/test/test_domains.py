"""No two tests on a machine share a ROS domain, and none gets one in which a node listens."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import domains
import pytest

PROGRAM = """
import domains
domains.DOMAINS, domains.CLAIM = range({0}, {0} + 1), {1!r}
domains._used_ports = set
with domains.claimed_domain():
    print("claimed")
"""


@pytest.fixture(autouse=True)
def claims_of_this_test_alone(monkeypatch):
    """Another suite must not take the domain that this one has just released."""
    monkeypatch.setattr(domains, "CLAIM", f"\0rlt-test-of-claims-{os.getpid()}-{{}}")


def claimed_by_another_process(domain: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(domain, domains.CLAIM)],
        cwd=Path(domains.__file__).parent, capture_output=True, text=True,
    )
    assert "claimed" in done.stdout or "in use" in done.stderr, done.stderr
    return not done.returncode


def test_a_domain_is_claimed_once_until_it_is_free_again():
    with domains.claimed_domain() as mine, domains.claimed_domain() as another:
        assert mine != another
        assert not claimed_by_another_process(mine)
    assert claimed_by_another_process(mine)


def test_a_domain_in_which_somebody_listens_is_not_free(monkeypatch):
    with domains.claimed_domain() as quiet:
        pass
    monkeypatch.setattr(domains, "DOMAINS", range(quiet, quiet + 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 7400 + 250 * quiet + 10))
        with pytest.raises(RuntimeError, match="in use"), domains.claimed_domain():
            pass
    with domains.claimed_domain() as again:
        assert again == quiet
