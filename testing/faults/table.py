"""The complete table: importing this module fills `rows.ROWS`."""

from . import (
    chunks,
    devices,
    disk,
    drivers,
    ends,
    learning,
    life,
    people,
    processes,
    sensors,
    strangers,
)
from .rows import ROWS, Row

MODULES = (
    chunks, sensors, processes, people, devices, disk, learning, strangers, ends, drivers, life,
)
TABLE: dict[int, Row] = dict(sorted(ROWS.items()))
