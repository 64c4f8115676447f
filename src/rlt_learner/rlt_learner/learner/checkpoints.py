"""The learner's checkpoint in the run's output folder: resume from it, keep it up to date."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from rlt_core.contract import Contract
from rlt_core.log import checkpoint
from rlt_core.rl.trainer import Trainer
from rlt_learner.learner.checkpoint_writer import CheckpointWriter

SAVE_SECONDS = 20.0
NEEDED = ("contract_hash", "policy_version", "trainer")


class Checkpoints:
    """Reads the checkpoint once, then queues a new one whenever there is something new.

    Attributes:
        folder: Folder of the checkpoint.
        message: What was read, or what was wrong with it; empty if there was nothing.
        damaged: Whether the newest generation was damaged, so that the previous one was read.
    """

    def __init__(
        self, folder: Path, trainer: Trainer, contract: Contract, say: Callable[[str], None]
    ) -> None:
        """Resume from the checkpoint in the folder, if there is one.

        Args:
            folder: Folder of the checkpoint.
            trainer: A new trainer.
            contract: The run's contract.
            say: Called, from another thread, with what could not be written.

        Raises:
            ValueError: If the checkpoint is damaged in both generations, or does not fit.
        """
        self.message, self.damaged = "", False
        self.folder = folder
        self._trainer = trainer
        self._hash = contract.hash()
        try:
            tensors, meta, damage = checkpoint.recover(folder, *NEEDED)
        except FileNotFoundError:
            pass
        else:
            contract.require(meta["contract_hash"], f"checkpoint {folder}")
            trainer.load_state_dict(tensors, meta["trainer"])
            self._describe(meta, damage)
        self._saved_version = trainer.status().policy_version
        self._writer = CheckpointWriter(folder, say)

    @property
    def fault(self) -> str:
        """Why the newest state is not on the disk, empty if it is."""
        return self._writer.fault

    def save_if_new(self) -> None:
        """Queue the trainer's state if it has good weights that are not on the disk."""
        status = self._trainer.status()
        new = status.policy_version > self._saved_version or self._writer.fault
        if new and not status.fault:
            self.save()

    def save(self) -> Future[None]:
        """Queue the trainer's state to be written; only the future waits for it.

        Raises:
            ValueError: If there is nothing to save yet, or it has diverged: the checkpoint on the
                disk is better.
        """
        tensors, counters = self._trainer.state_dict()
        if not counters["runs"]:
            raise ValueError("no commit was received: there is nothing to save yet")
        if fault := self._trainer.status().fault:
            raise ValueError(f"not saved, the last good checkpoint is kept: {fault}")
        self._saved_version = counters["version"]
        return self._writer.offer(
            tensors,
            {
                "contract_hash": self._hash,
                "policy_version": counters["version"],
                "trainer": counters,
            },
        )

    def save_and_wait(self, submit: Callable[[Callable[[], None]], None]) -> str:
        """Write the trainer's state now.

        Args:
            submit: Runs a job in the trainer's thread.

        Returns:
            Why it was not written, empty if it was.
        """
        asked: Future[Future[None]] = Future()

        def save() -> None:
            try:
                asked.set_result(self.save())
            except ValueError as error:
                asked.set_exception(error)

        submit(save)
        try:
            asked.result(SAVE_SECONDS).result(SAVE_SECONDS)
        except Exception as error:  # a service's answer, whatever went wrong
            return str(error) or f"not saved within {SAVE_SECONDS:g} s"
        return ""

    def close(self) -> None:
        """Finish writing."""
        self._writer.close()

    def _describe(self, meta: dict[str, Any], damage: str) -> None:
        self.damaged = bool(damage)
        learnt = ", ".join(
            f"commits up to {seq} of run {run!r}" for run, seq in self._trainer.restored.items()
        )
        self.message = (
            f"learning continues from version {meta['policy_version']} of the weights, learnt from "
            f"{learnt}"
        )
        if damage:
            self.message += f", of the previous checkpoint, since the newest is damaged: {damage}"
