"""The learner's checkpoint in the run's output folder: go on from it, keep it up to date."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from rlt_core import checkpoint
from rlt_core.contract import Contract
from rlt_core.trainer import Trainer
from rlt_learner.saver import Saver

SAVE_SECONDS = 20.0
NEEDED = ("contract_hash", "policy_version", "trainer")


class Checkpoints:
    """Reads the checkpoint once, then has a new one written whenever there is something new.

    Attributes:
        folder: Folder of the checkpoint.
        message: What was read, or what was wrong with it; empty if there was nothing.
        damaged: Whether the newest generation was damaged, so that the one before was read.
    """

    def __init__(
        self, folder: Path, trainer: Trainer, contract: Contract, say: Callable[[str], None]
    ) -> None:
        """Go on from the checkpoint in the folder, if there is one.

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
            tensors, meta, problem = checkpoint.recover(folder, *NEEDED)
        except FileNotFoundError:
            pass
        else:
            contract.require(meta["contract_hash"], f"checkpoint {folder}")
            trainer.load_state_dict(tensors, meta["trainer"])
            self._describe(meta, problem)
        self._saved_version = trainer.status().policy_version
        self._saver = Saver(folder, say)

    @property
    def trouble(self) -> str:
        """Why the newest state is not on the disk, empty if it is."""
        return self._saver.trouble

    def save_if_new(self) -> None:
        """Have the trainer's state written if it has good weights that are not on the disk."""
        status = self._trainer.status()
        new = status.policy_version > self._saved_version or self._saver.trouble
        if new and not status.trouble:
            self.save()

    def save(self) -> Future[None]:
        """Have the trainer's state written; nothing waits for it but who asks the future.

        Raises:
            ValueError: If there is nothing to save yet, or it has diverged: what is on the disk
                is better.
        """
        tensors, counters = self._trainer.state_dict()
        if not counters["runs"]:
            raise ValueError("no commit has come: there is nothing to save yet")
        if trouble := self._trainer.status().trouble:
            raise ValueError(f"not saved, the last good checkpoint stands: {trouble}")
        self._saved_version = counters["version"]
        return self._saver.offer(
            tensors,
            {
                "contract_hash": self._hash,
                "policy_version": counters["version"],
                "trainer": counters,
            },
        )

    def save_and_wait(self, submit: Callable[[Callable[[], None]], None]) -> str:
        """Have the trainer's state written now.

        Args:
            submit: Has a job run in the trainer's thread.

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
        self._saver.close()

    def _describe(self, meta: dict[str, Any], problem: str) -> None:
        self.damaged = bool(problem)
        learnt = ", ".join(
            f"commits up to {seq} of run {run!r}" for run, seq in self._trainer.restored.items()
        )
        self.message = (
            f"learning goes on from version {meta['policy_version']} of the weights, learnt from "
            f"{learnt}"
        )
        if problem:
            self.message += f", of the previous checkpoint, since the newest is damaged: {problem}"
