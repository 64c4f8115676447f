"""TensorBoard curves of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlt_core.records import EpisodeState
from rlt_core.trainer import TrainerStatus

LEARNING = (
    "critic_loss", "q_mean", "reference_distance", "updates_per_second", "replay_size",
)


class Scalars:
    """Writes learning curves by update and episodes by number; nothing without a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Remember the folder; its files are made with the first value."""
        self._folder = folder
        self._writer: Any = None

    def learning(self, status: TrainerStatus) -> None:
        """Plot the means over the last episode's updates."""
        for name in LEARNING:
            self._add(f"learner/{name}", getattr(status, name), status.updates)

    def episode(self, state: EpisodeState, success: bool) -> None:
        """Plot an ended episode."""
        kind = state.kind.name.lower()
        self._add(f"{kind}/success", float(success), state.episode)
        self._add(f"{kind}/steps", state.end_tick - state.start_tick, state.episode)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, name: str, value: float, step: int) -> None:
        if self._folder is None:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # half a second

            self._writer = SummaryWriter(str(self._folder))
        self._writer.add_scalar(name, value, step)
