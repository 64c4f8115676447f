"""TensorBoard curves of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlt_core.episodes.statistics import counts
from rlt_core.records import EpisodeState, Outcome
from rlt_core.rl.trainer import TrainerStatus

LEARNING = (
    "critic_loss", "q_mean", "reference_distance", "updates_per_second", "replay_size",
)


class TensorBoard:
    """Writes learning curves by update and episodes by number; nothing without a folder.

    A missing curve ends no run: a write that fails is logged once and ends the curves.
    """

    def __init__(self, folder: Path | None, say: Callable[[str], None]) -> None:
        """Remember the folder; its files are made with the first value.

        Args:
            folder: Where the curves go; None writes none.
            say: Called with the reason for their end.
        """
        self._folder = folder
        self._say = say
        self._writer: Any = None

    def learning(self, status: TrainerStatus) -> None:
        """Plot the means over the last episode's updates."""
        for name in LEARNING:
            self._add(f"learner/{name}", getattr(status, name), status.updates)

    def episode(self, robot: str, state: EpisodeState) -> None:
        """Plot an ended episode that counts, prefixed with the robot's name if it has one."""
        if not counts(state):
            return
        prefix = "/".join(filter(None, (robot.strip("/"), state.kind.name.lower())))
        success = state.outcome is Outcome.SUCCESS
        self._add(f"{prefix}/success", float(success), state.episode)
        self._add(f"{prefix}/steps", state.end_tick - state.start_tick, state.episode)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._try(self._writer.close)

    def _add(self, name: str, value: float, step: int) -> None:
        if self._folder is not None:
            self._try(lambda: self._open().add_scalar(name, value, step))

    def _open(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # half a second

            self._writer = SummaryWriter(str(self._folder))
        return self._writer

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._say(
                f"curves cannot be written to {self._folder} ({error}): make room on its disk and "
                "restart the learner to resume them"
            )
            self._folder = self._writer = None
