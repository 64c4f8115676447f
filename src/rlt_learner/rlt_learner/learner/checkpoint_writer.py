"""The thread that writes checkpoints, so that no update waits for the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from torch import Tensor

from rlt_core.log import checkpoint

Snapshot = tuple[Mapping[str, Tensor], Mapping[str, Any], "Future[None]"]


class CheckpointWriter:
    """Writes the newest waiting snapshot; one that a newer one replaces is never written.

    A write that failed is logged once and kept in `fault`; the next snapshot tries again.

    Attributes:
        fault: Why the last snapshot was not written, empty if it was.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Start the thread.

        Args:
            folder: Folder of the checkpoint.
            say: Called in the thread with what went wrong.
        """
        self.fault = ""
        self._folder = folder
        self._say = say
        self._waiting: Snapshot | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def offer(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Future[None]:
        """Queue a snapshot to be written; its tensors must not change any more.

        Returns:
            A future that is done once this snapshot or a newer one is on the disk, or has failed.
        """
        done: Future[None] = Future()
        with self._changed:
            if self._waiting is not None:
                overtaken = self._waiting[2]
                done.add_done_callback(lambda newer: _settle(overtaken, newer.exception()))
            self._waiting = (tensors, meta, done)
            self._changed.notify()
        return done

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closing)
                snapshot, self._waiting = self._waiting, None
            if snapshot is None:
                return
            self._write(*snapshot)

    def _write(
        self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], done: Future[None]
    ) -> None:
        try:
            checkpoint.save(self._folder, tensors, meta)
        except Exception as error:  # in any case the thread must live and the future end
            if not self.fault:
                self._say(
                    f"checkpoint {self._folder} was not written ({error!r}): the previous "
                    "one is kept; make room on its disk"
                )
            self.fault = str(error) or repr(error)
            done.set_exception(error)
        else:
            self.fault = ""
            done.set_result(None)


def _settle(future: Future[None], error: BaseException | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
