"""Events of processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launch.event import Event
from launch.subset import refuse_missing

if TYPE_CHECKING:
    from launch.action import Action


@dataclass(frozen=True)
class ProcessExited(Event):
    """A process has ended, with this return code (negative: the signal that killed it)."""

    action: "Action"
    process_name: str
    cmd: list[str]
    cwd: str | None
    env: dict[str, str]
    pid: int
    returncode: int


__getattr__ = refuse_missing(__name__)
