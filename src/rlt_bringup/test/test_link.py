"""Robot and learner on two machines, and the link between them cut: nothing lost, all made up."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from link_cut import Cut, run
from machines import TwoMachines

MULTICAST = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
STATIC_PEERS = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.77.0.1;10.77.0.2",
}
CUTS = {
    "multicast": Cut(MULTICAST, bridged=False, killed=False),
    # DDS looks at a machine's interfaces once: started without a link, it must find a bridge.
    "static_peers_and_restarts": Cut(STATIC_PEERS, bridged=True, killed=True),
}


@pytest.fixture(params=CUTS.values(), ids=CUTS)
def cut(request) -> Cut:
    try:
        TwoMachines(request.param.bridged).close()
    except OSError as error:
        pytest.skip(f"network namespaces need root and iproute2: {error}")
    return request.param


def test_a_cut_link_stops_no_robot_loses_nothing_and_is_made_up_for(domain, cut, tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(run, domain, tmp_path, cut).result()
