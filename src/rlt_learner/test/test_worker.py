"""The learner's thread: ingests, learns while it may, reports, and keeps what ended it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from rlt_core.log.stream import OtherLog
from rlt_core.records import Commit, EpisodeKind, Transition
from rlt_learner.learner import worker as worker_module
from rlt_learner.learner.worker import Worker


def wait_for(condition):
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def commit(seq, kind):
    nothing = np.zeros(0, np.float32)
    return Transition(
        "run", 1, seq, seq, kind, EpisodeKind.TRAIN, nothing, nothing, nothing, nothing, nothing,
        nothing.astype(np.uint8), 0, nothing, False, nothing, nothing, nothing, nothing,
    )


class CountingTrainer:
    """Stands for a trainer that owes five updates and then a version."""

    def __init__(self):
        self.owed = 5
        self.weights_due = False
        self.rebuilding = False
        self.updates = 0
        self.received = 0

    @property
    def folded(self):
        return {"run": self.updates}

    def ingest(self, item):
        self.received += 1

    def work(self, max_updates, halt):
        done = min(self.owed, max_updates)
        self.owed -= done
        self.updates += done
        self.weights_due = done > 0
        return done

    def publish(self):
        self.weights_due = False
        return 1, {}

    def status(self):
        return SimpleNamespace(ingested_seq=self.updates, received=self.received)


@pytest.fixture
def made():
    events = []
    trainer = CountingTrainer()
    worker = Worker(
        trainer,
        on_weights=lambda version, weights: events.append(("weights", version)),
        on_status=lambda status: events.append(("status", status.ingested_seq, status.received)),
        on_boundary=lambda: events.append(("boundary",)),
        on_other_log=lambda error: events.append(("other", error.run)),
    )
    worker.start()
    yield worker, trainer, events
    worker.stop()


def test_it_learns_only_when_it_may(made):
    worker, trainer, events = made
    wait_for(lambda: events == [("status", 0, 0)])
    done = []
    worker.submit(lambda: done.append("job"))
    wait_for(lambda: done)
    assert trainer.updates == 0
    worker.learning = True
    worker.report()
    wait_for(lambda: ("weights", 1) in events)
    assert trainer.updates == 5


def test_the_status_after_an_episode_follows_its_weights(made):
    worker, _, events = made
    worker.learning = True
    worker.report()
    wait_for(lambda: ("status", 5, 0) in events)
    order = [events.index(event) for event in (("weights", 1), ("boundary",), ("status", 5, 0))]
    assert order == sorted(order)


@pytest.mark.parametrize("last", [Commit.INSERT, Commit.EPISODE_END])
def test_what_is_taken_in_while_it_does_not_learn_is_told(made, last):
    worker, trainer, events = made
    for seq, kind in enumerate((Commit.INSERT, Commit.INSERT, last), start=1):
        worker.submit(commit(seq, kind))
    wait_for(lambda: ("status", 0, 3) in events)
    assert trainer.updates == 0


def test_a_failure_is_kept(made):
    worker, _, _ = made

    def fail():
        raise OSError("the disk is full")

    worker.submit(fail)
    wait_for(lambda: worker.failure is not None)
    assert str(worker.failure) == "the disk is full"
    worker.stop()


def test_a_log_that_is_another_ends_nothing(made):
    worker, trainer, events = made
    trainer.require_log = lambda run, committed: (_ for _ in ()).throw(OtherLog(run, "short"))
    worker.require_log("left", 3)
    wait_for(lambda: ("other", "left") in events)
    worker.submit(commit(1, Commit.INSERT))
    wait_for(lambda: trainer.received == 1)
    assert worker.failure is None


def test_it_tells_that_it_lives_when_there_is_nothing_to_tell(made, monkeypatch):
    monkeypatch.setattr(worker_module, "STATUS_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.02)
    _, _, events = made
    wait_for(lambda: len(events) > 3)
    assert set(events) == {("status", 0, 0)}


def test_stop_waits_for_the_job_in_hand(made):
    worker, _, _ = made
    begun, done = threading.Event(), []

    def slow():
        begun.set()
        time.sleep(0.05)
        done.append(True)

    worker.submit(slow)
    wait_for(begun.is_set)
    worker.stop()
    assert done


def test_stop_does_not_wait_for_the_updates_and_commits_that_are_left(made):
    """On a busy machine a niced learner has a twentieth of a core."""
    worker, trainer, _ = made
    begun = threading.Event()

    def work(max_updates, halt):
        begun.set()
        wait_for(halt)  # a trainer that would never stop
        return 1

    trainer.work = work
    worker.learning = True
    worker.report()
    begun.wait()
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    stopping.join(60.0)
    assert not stopping.is_alive()


def test_stop_leaves_what_was_not_taken_in_to_the_log(made):
    worker, trainer, _ = made
    begun, asked = threading.Event(), threading.Event()

    def slow():
        begun.set()
        asked.wait(60.0)

    worker.submit(slow)
    begun.wait()
    for seq in range(1, 100):
        worker.submit(commit(seq, Commit.INSERT))
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    wait_for(worker._stopping.is_set)
    asked.set()
    stopping.join(60.0)
    assert trainer.received == 0


class RestoredTrainer(CountingTrainer):
    """Stands for a trainer that resumes at version 4 and lacks two commits of its replay buffer."""

    def __init__(self):
        super().__init__()
        self.rebuilding = True
        self.looked = 0
        self.agent = SimpleNamespace(actor_state=lambda: {"after": self.updates})

    def work(self, max_updates, halt):
        self.rebuilding = self.received < 2
        self.looked += self.received
        return 0 if self.rebuilding else super().work(max_updates, halt)

    def status(self):
        return SimpleNamespace(
            ingested_seq=self.updates, received=self.received, policy_version=4
        )


@pytest.mark.parametrize(("learning", "versions"), [(True, [4, 1]), (False, [4])])
def test_restored_weights_are_told_once_the_log_has_proved_to_be_theirs(learning, versions):
    told, trainer = [], RestoredTrainer()
    worker = Worker(
        trainer, lambda version, weights: told.append((version, weights)),
        on_status=lambda status: None, on_boundary=lambda: None, on_other_log=lambda error: None,
    )
    worker.learning = learning
    worker.start()
    worker.submit(commit(1, Commit.INSERT))
    wait_for(lambda: trainer.looked)
    assert not told, "published before the log was there"
    worker.submit(commit(2, Commit.INSERT))
    wait_for(lambda: len(told) == len(versions))
    worker.stop()
    assert told[0] == (4, {"after": 0}) and [version for version, _ in told] == versions
