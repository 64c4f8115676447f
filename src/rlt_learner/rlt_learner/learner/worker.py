"""The thread in which the trainer works, so that callbacks never wait for an update."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from torch import Tensor

from rlt_core.log.stream import OtherLog
from rlt_core.records import Commit, Transition
from rlt_core.rl.trainer import Trainer, TrainerStatus

UPDATES_PER_LOOK = 10  # updates between two looks at the inbox: an eighth of a second
STATUS_SECONDS = 0.5
HEARTBEAT_SECONDS = 1.0  # longest time between two reports of the status

Job = Callable[[], None]


class Worker:
    """Owns a trainer: everything that touches it goes through `submit`.

    Attributes:
        learning: Whether updates are run; ingesting continues without them.
        folded: Highest seq of every run up to which the replay buffer holds every commit.
        failure: The error that ended the thread, None while it runs.
    """

    def __init__(
        self,
        trainer: Trainer,
        on_weights: Callable[[int, dict[str, Tensor]], None],
        on_status: Callable[[TrainerStatus], None],
        on_boundary: Callable[[], None],
        on_other_log: Callable[[OtherLog], None],
    ) -> None:
        """Make the thread; `start` starts it.

        Args:
            trainer: Belongs to the thread from now on.
            on_weights: Called in the thread with each new version of the actor; with that of a
                loaded checkpoint once the log has proved to be the one that it was learnt from.
            on_status: Called in the thread after an episode, and regularly in between.
            on_boundary: Called in the thread when an episode's updates are done and its weights
                are published.
            on_other_log: Called in the thread when a run's log proves not to be the one that the
                loaded checkpoint was learnt from.
        """
        self.learning = False
        self.folded: dict[str, int] = {}
        self.failure: Exception | None = None
        self._trainer = trainer
        self._on_weights = on_weights
        self._on_status = on_status
        self._on_boundary = on_boundary
        self._on_other_log = on_other_log
        self._inbox: queue.SimpleQueue[Transition | Job] = queue.SimpleQueue()
        self._restored: tuple[int, dict[str, Tensor]] | None = None
        if trainer.rebuilding and (version := trainer.status().policy_version):
            self._restored = version, trainer.agent.actor_state()
        self._status_at = 0.0
        self._received_told = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the current update or job and end; the caller may then use the trainer.

        What has not been ingested by then is in the recorder's log.
        """
        self._stopping.set()
        self._inbox.put(lambda: None)  # wakes it up
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, item: Transition | Job) -> None:
        """Queue a transition to ingest, or a job to run in the thread, in order of submission."""
        self._inbox.put(item)

    def report(self) -> None:
        """Report the status soon."""
        self.submit(self._report)

    def require_log(self, run: str, committed: int) -> None:
        """Check in the thread that a run's log is as long as the loaded checkpoint needs it."""
        self.submit(lambda: self._trainer.require_log(run, committed))

    def release(self, run: str) -> None:
        """Learn without the commits of a run that no recorder serves any more."""
        self.submit(lambda: self._trainer.release(run))

    def _run(self) -> None:
        try:
            self._report()
            while not self._stopping.is_set():
                try:
                    self._go_on()
                except OtherLog as error:
                    self._on_other_log(error)
        except Exception as error:
            self.failure = error

    def _go_on(self) -> None:
        closed = self._take_in()
        if self.learning or self._trainer.rebuilding:
            self._learn(UPDATES_PER_LOOK if self.learning else 0)
        else:
            self._report_intake(closed)
        if time.monotonic() - self._status_at > HEARTBEAT_SECONDS:
            self._report()

    def _take_in(self) -> bool:
        """Ingest all that has come; wait only if there is nothing else to do.

        Returns:
            Whether it included the end of an episode.
        """
        idle = not self.learning or self._trainer.owed < 1 or self._trainer.rebuilding
        closed = False
        try:
            item = self._inbox.get(block=idle, timeout=STATUS_SECONDS if idle else None)
            while not self._stopping.is_set():
                if isinstance(item, Transition):
                    self._trainer.ingest(item)
                    closed = closed or item.commit is Commit.EPISODE_END
                else:
                    item()
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return closed

    def _learn(self, most: int) -> None:
        """Rebuild the replay buffer, then fold and run up to so many updates."""
        before = self._trainer.status().ingested_seq
        updates = self._trainer.work(most, self._stopping.is_set)
        if self._restored and not self._trainer.rebuilding:
            self._on_weights(*self._restored)
            self._restored = None
            self._report()
        if self._trainer.weights_due:
            self._on_weights(*self._trainer.publish())
            self._on_boundary()
        self.folded = self._trainer.folded
        settled = self._trainer.owed < 1 and sum(self.folded.values()) > before
        if settled or (updates and time.monotonic() - self._status_at > STATUS_SECONDS):
            self._report()

    def _report_intake(self, closed: bool) -> None:
        """Report what was ingested while nothing is learnt: nothing else would."""
        overdue = time.monotonic() - self._status_at >= STATUS_SECONDS
        if (closed or overdue) and self._trainer.status().received > self._received_told:
            self._report()

    def _report(self) -> None:
        status = self._trainer.status()
        self._status_at, self._received_told = time.monotonic(), status.received
        self._on_status(status)
