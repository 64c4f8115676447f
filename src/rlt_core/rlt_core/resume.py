"""An in-process run that survives being killed: its log and its checkpoint in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlt_core import checkpoint
from rlt_core.durable_log import LOG_FILE, DurableLog
from rlt_core.episodes import EpisodeResult
from rlt_core.log import pages
from rlt_core.records import Commit
from rlt_core.runner import Runner

CHECKPOINT = "checkpoint"
NEEDED = ("run", "contract_hash", "policy_version", "trainer", "episodes", "seq")


class ResumableRun:
    """Runs a runner's schedule, and goes on with it in a later process.

    Killed at any moment and started again with the same arguments, it ends with the same log and
    the same weights as without the kill, bit for bit on one CPU: the interrupted episode is run
    again from its seed.

    Attributes:
        problem: What was wrong with the newest checkpoint, so that the one before was read.
    """

    def __init__(self, runner: Runner, folder: Path) -> None:
        """Open the log, and go on from the checkpoint if there is one.

        Args:
            runner: A new runner with a trainer; it gets this log.
            folder: Output folder of the run.

        Raises:
            ValueError: If log or checkpoint is damaged, or of another run or contract, or the
                checkpoint of the log is gone.
            OSError: If the folder cannot be written, or another process runs in it.
        """
        if runner.trainer is None:
            raise ValueError("the runner has no trainer: there is nothing to resume")
        self.problem = ""
        self._runner, self._trainer = runner, runner.trainer
        self._folder = folder / CHECKPOINT
        self._log = DurableLog(folder / LOG_FILE, runner.machine.state.run, runner.contract)
        runner.log = self._log
        self._restore()

    def run(self) -> Iterator[EpisodeResult]:
        """Run the rest of the schedule; yield every episode's result once it cannot be lost."""
        for result in self._runner.run():
            self._save()
            yield result

    def close(self) -> None:
        """Let another process go on."""
        self._log.close()

    def _save(self) -> None:
        """Save the state, unless it has diverged: a later process goes on from the good one."""
        if self._trainer.status().trouble:
            return
        tensors, counters = self._trainer.state_dict()
        meta = {
            "run": self._log.run,
            "contract_hash": self._runner.contract.hash(),
            "policy_version": counters["version"],
            "trainer": counters,
            "episodes": [result.to_dict() for result in self._runner.machine.results],
            "seq": len(self._log),
        }
        checkpoint.save(self._folder, tensors, meta)

    def _require_beginning(self) -> None:
        """Check that the log may lack a checkpoint: one is saved after every episode.

        Raises:
            ValueError: If more than one episode is closed.
        """
        closed = {
            t.episode for page in pages(self._log) for t in page if t.commit is Commit.EPISODE_END
        }
        if len(closed) > 1:
            raise ValueError(
                f"{self._log.path} holds {len(closed)} closed episodes, but {self._folder} no "
                "checkpoint: copy that folder from a backup, or name another output folder"
            )

    def _restore(self) -> None:
        """Go back to the last checkpoint: what the log holds beyond it will be run again."""
        try:
            tensors, meta, self.problem = checkpoint.recover(self._folder, *NEEDED)
        except FileNotFoundError:
            self._require_beginning()
            self._log.truncate(0)
            return
        if meta["run"] != self._log.run:
            raise ValueError(
                f"checkpoint {self._folder} is of run {meta['run']!r}, expected "
                f"{self._log.run!r}: name another output folder"
            )
        self._runner.contract.require(meta["contract_hash"], f"checkpoint {self._folder}")
        self._trainer.load_state_dict(tensors, meta["trainer"])
        self._trainer.require_log(self._log.run, len(self._log))
        self._log.truncate(meta["seq"])
        for page in pages(self._log):
            for transition in page:
                self._trainer.ingest(transition)
            self._trainer.work()
        self._runner.machine.restore(map(EpisodeResult.from_dict, meta["episodes"]))
        if meta["policy_version"]:
            weights = self._trainer.agent.actor_state()
            self._runner.policy.set_weights(meta["policy_version"], weights)
