"""The whole table: importing this module fills `rows.ROWS`."""

from . import chunks, people, processes, sensors
from .rows import ROWS, Row

MODULES = (chunks, sensors, processes, people)
TABLE: dict[int, Row] = dict(sorted(ROWS.items()))
