"""What a run is for, who judges it, and the part of the schedule that its job needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from rlt_core.log.run_files import read_facts
from rlt_core.settings import ScheduleSettings, setting


@dataclass(frozen=True)
class EpisodesSettings:
    """What the run is for, who judges it, and where it is recorded."""

    task: str = setting("ethernet", "name of the task, for the record")
    run: str = setting(
        "", "identifier of the run; empty: name of the output folder as the run began"
    )
    output: str = setting("", "folder for all files of the run", path=True)
    resume: bool = setting(False, "whether to resume the run in the output folder")
    job: str = setting(
        "train",
        "train: the complete schedule; evaluate_base, evaluate_actor: that evaluation only",
        choices=("train", "evaluate_base", "evaluate_actor"),
    )
    supervisor: str = setting(
        "auto", "who labels success and hands over", choices=("auto", "human")
    )
    second_look_s: float = setting(
        1.0, "supervisor human: time after an episode before the next one may open, s", low=0.0
    )
    warmup_episodes: int = setting(
        40, "training episodes that the base policy drives, as the learner counts them", low=1
    )
    privileged_pretraining: bool = setting(
        True, "whether the base policy's training used simulator labels, for the record"
    )

    def require_possible(self, lockstep: bool) -> None:
        """Check that the settings allow a run.

        Args:
            lockstep: Whether the graph waits for every node.

        Raises:
            ValueError: If they do not.
        """
        if self.supervisor == "human" and lockstep:
            raise ValueError("supervisor human needs real time: set mode to real_time")
        if not self.output:
            raise ValueError("parameter output is empty: name a folder for the run")

    def identify(self) -> str:
        """The identifier of the run: a renamed folder still holds the same run.

        Raises:
            OSError: If the folder holds no run to resume.
            ValueError: If it is damaged.
        """
        folder = Path(self.output)
        recorded = read_facts(folder)["run"] if self.resume else folder.resolve().name
        return self.run or recorded


def schedule_of(job: str, schedule: ScheduleSettings) -> ScheduleSettings:
    """The part of the schedule that a job needs.

    Args:
        job: One of the choices of `EpisodesSettings.job`.
        schedule: The complete schedule.
    """
    if job == "evaluate_base":
        return dataclasses.replace(schedule, episodes=0, eval_episodes=0)
    if job == "evaluate_actor":
        return dataclasses.replace(schedule, episodes=0, base_eval_episodes=0)
    return schedule
