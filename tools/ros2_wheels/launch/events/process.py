"""Events of processes."""

from collections.abc import Callable
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


class ShutdownProcess(Event):
    """The processes of the actions that match are asked to stop."""

    def __init__(self, *, process_matcher: "Callable[[Action], bool]") -> None:
        self.process_matcher = process_matcher


__getattr__ = refuse_missing(__name__)
