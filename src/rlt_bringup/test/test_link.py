"""Robot and learner on two machines, and the link between them cut: nothing lost, all caught up."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from link_cut import Cut, run
from machines import TwoMachines

# DDS reads a machine's interfaces once: started without a link, it must find a bridge.
CUT = Cut(bridged=True, killed=True)


@pytest.mark.time_critical
def test_a_cut_link_and_restarts_meanwhile_stop_no_robot_and_lose_nothing(domain, tmp_path):
    try:
        TwoMachines(CUT.bridged).close()
    except OSError as error:
        pytest.skip(f"network namespaces need root and iproute2: {error}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(run, domain, tmp_path, CUT).result()
