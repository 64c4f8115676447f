"""The runs that a learner learns from: the robot of each, and which of them may be mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlt_learner.learner.commit_requests import CommitRequests

ABSENT_SECONDS = 10.0


class TooEarly(ValueError):
    """A run may be learnt from only beside one that the checkpoint knows, and none is here yet."""


class RunRegistry:
    """Admits runs and tracks the commits of each, even while its robot is away.

    In lockstep there is one run, so that a seed gives the same weights. In real time a robot may
    come late, leave, and come back with another run. But a learner that is started by mistake in
    the folder of another learner's checkpoint must not mix what both have learnt: with a checkpoint
    the first run must be one that it knows.
    """

    def __init__(
        self, needed: Mapping[str, int], robots: Sequence[str], lockstep: bool, folder: str
    ) -> None:
        """Begin without runs.

        Args:
            needed: Highest seq of every run that a loaded checkpoint has learnt from.
            robots: Namespaces of the robots.
            lockstep: Whether the graph waits for every node.
            folder: The learner's output folder, for the errors.

        Raises:
            ValueError: If these robots cannot be learnt from together.
        """
        if not robots or len(set(robots)) < len(robots):
            raise ValueError(f"parameter robots is {list(robots)}: name each robot once")
        if lockstep and len(robots) > 1:
            raise ValueError(
                f"parameter robots names {len(robots)} robots, but in lockstep there is one: set "
                "mode to real_time"
            )
        self._lockstep = lockstep
        self._folder = folder
        self._restored = dict(needed)
        self._intakes = {run: CommitRequests(seq) for run, seq in needed.items()}
        self._robots: dict[str, str] = {}
        self._joined = not needed
        self._seen: dict[str, tuple[int, float]] = {}

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs whose robots are here."""
        return tuple(self._robots)

    def admit(self, run: str, robot: str) -> CommitRequests:
        """Begin a robot's run, in place of its last one, or continue it.

        Args:
            run: Identifier of the run.
            robot: Namespace of the robot.

        Returns:
            The tracker of the run's commits.

        Raises:
            TooEarly: If the checkpoint does not know it, nor any run that is here.
            ValueError: If it may not be learnt from beside the earlier runs.
        """
        holder = self._robots.get(run, robot)
        if holder != robot:
            raise ValueError(
                f"robots {holder} and {robot} both record run {run!r}: only the first is learnt "
                "from; start the other one with an output:= of another name"
            )
        earlier = next((old for old, who in self._robots.items() if who == robot), "")
        if self._lockstep and earlier and self._intakes[earlier].next_seq > 1:
            raise ValueError(
                f"run {run!r} began while this learner has learnt from {earlier!r}: restart it "
                "with the run"
            )
        if not self._joined and run not in self._restored:
            raise TooEarly(
                f"{self._folder} holds the checkpoint of run {_named(self._restored)}, this is run "
                f"{run!r}: choose another folder with output:="
            )
        self._joined = True
        self._robots.pop(earlier, None)
        self._robots[run] = robot
        return self._intakes.setdefault(run, CommitRequests())

    def absent(self, folded: Mapping[str, int], now: float) -> list[str]:
        """Runs of the checkpoint that have sent nothing for long, while others are here.

        Args:
            folded: Highest seq of every run in the replay buffer.
            now: Monotonic time, s.

        Returns:
            Each of them once.
        """
        gone = []
        for run, needed in self._restored.items():
            seq = folded.get(run, 0)
            if seq >= needed or set(self._robots) <= {run}:
                self._seen.pop(run, None)
                continue
            if self._seen.get(run, (-1, now))[0] != seq:
                self._seen[run] = seq, now
            if now - self._seen[run][1] > ABSENT_SECONDS:
                gone.append(run)
        for run in gone:
            del self._restored[run]
        return gone


def _named(runs: Mapping[str, int]) -> str:
    return " and ".join(map(repr, runs))
