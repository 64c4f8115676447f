"""The control clock of real time: when ticks are due, how late they are, and what follows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from rlt_core.control.rejection import Rejection

OVERRUNS = 3
"""This many overruns within `OVERRUN_TICKS` stop the robot: its commands are too late."""
OVERRUN_TICKS = 50
WINDOW_TICKS = 1000
"""Ticks over which lateness is summarised: 20 s at 50 Hz."""


@dataclass(frozen=True)
class Lateness:
    """How late the control ticks of the last `WINDOW_TICKS` were, in seconds.

    Attributes:
        mean: Mean.
        p99: 99th percentile.
        max: Largest.
        lost_ticks: Control periods since the start that had no tick.
    """

    mean: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    lost_ticks: int = 0


class ControlClock:
    """Keeps the control rate and never makes up for lost time.

    After a late tick the next one is due half a period later at the earliest, so that two commands
    never follow each other immediately.

    Attributes:
        due: When the next tick is due, monotonic seconds; the first is due immediately.
        fault: Why the robot must hold at the newest tick; None without a fault.
    """

    def __init__(self, dt: float, stall_ticks: int) -> None:
        """Set up.

        Args:
            dt: Control period in seconds.
            stall_ticks: Periods without a tick after which everything queued is outdated.
        """
        self.due = -np.inf
        self.fault: Rejection | None = None
        self._dt = dt
        self._stall_ticks = stall_ticks
        self._stall: Rejection | None = None
        self._stall_until = 0
        self._last = np.inf
        self._ticks = 0
        self._lost = 0
        self._lateness: deque[float] = deque(maxlen=WINDOW_TICKS)
        self._overruns: deque[int] = deque(maxlen=OVERRUNS)
        self._overrun: Rejection | None = None

    def begin_tick(self, now: float) -> None:
        """Begin a tick at the monotonic time `now`, in seconds."""
        late = max(0.0, now - self.due) if self._ticks else 0.0
        self._ticks += 1
        self._lateness.append(late)
        self._lost += int(late / self._dt)
        self.due = max(now + 0.5 * self._dt, now - late + self._dt)
        overrun = self._overrunning(late)
        self.fault = self._stalled(now - self._last) or overrun
        self._last = now

    def summary(self) -> Lateness:
        """How late the ticks were."""
        values = np.array(self._lateness)
        if not values.size:
            return Lateness()
        p99 = float(np.quantile(values, 0.99))
        return Lateness(float(values.mean()), p99, float(values.max()), self._lost)

    def _stalled(self, gap: float) -> Rejection | None:
        """Why the robot holds after a stall, until every input has had time to arrive again."""
        longest = self._stall_ticks * self._dt
        if gap > longest:
            self._stall_until = self._ticks + self._stall_ticks
            self._stall = Rejection(
                "stall",
                f"the control loop stalled for {gap:.2f} s, more than {longest:.2f} s: all queued "
                "chunks are dropped, and the policy acts again on a new chunk; free the CPU of "
                "the robot's computer",
            )
        return self._stall if self._ticks < self._stall_until else None

    def _overrunning(self, late: float) -> Rejection | None:
        """Why the robot holds: too many late ticks, until `OVERRUN_TICKS` in a row are on time."""
        if late > self._dt:
            self._overruns.append(self._ticks)
        recent = self._ticks - OVERRUN_TICKS
        if not self._overruns or self._overruns[-1] <= recent:
            self._overrun = None
        elif len(self._overruns) == OVERRUNS and self._overruns[0] > recent:
            self._overrun = self._overrun or Rejection(
                "overrun",
                f"{OVERRUNS} of the last {OVERRUN_TICKS} control ticks were more than "
                f"{1e3 * self._dt:.0f} ms late, the last one {1e3 * late:.0f} ms: the controller "
                f"holds until {OVERRUN_TICKS} ticks are on time; free the CPU of the robot's "
                "computer",
            )
        return self._overrun


class WallClock:
    """Detects that the wall clock was set: control does not depend on it, but log stamps do."""

    def __init__(self, tolerance: float = 0.5) -> None:
        """Set up.

        Args:
            tolerance: Steps up to this size are not reported, s.
        """
        self._tolerance = tolerance
        self._offset: float | None = None

    def change(self, wall: float, monotonic: float) -> str:
        """Report by how much the wall clock was set since the last call; empty within tolerance.

        Args:
            wall: Wall time, s.
            monotonic: Monotonic time of the same moment, s.
        """
        offset = wall - monotonic
        moved = 0.0 if self._offset is None else offset - self._offset
        self._offset = offset
        if abs(moved) <= self._tolerance:
            return ""
        return (
            f"the wall clock was set by {moved:+.1f} s: control does not depend on it, but the "
            "stamps of logs and messages do; check the machine's time synchronisation"
        )
