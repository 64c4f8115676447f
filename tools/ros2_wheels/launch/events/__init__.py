"""Events of a launch."""

from launch.event import Event
from launch.subset import refuse_missing


class Shutdown(Event):
    """The launch ends: every process is asked to stop."""

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


__getattr__ = refuse_missing(__name__)
