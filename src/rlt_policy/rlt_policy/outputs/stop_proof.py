"""A proof, on the robot itself, that its driver stops when commands cease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlt_core.robot.limits import AxisLimits, column

Vector = NDArray[np.float64]

LONGEST_TIMEOUT_S = 0.1
STALE_S = 0.1
"""The robot is moved only while its last state arrived within this time."""
PATIENCE_S = 5.0
"""How long to wait for the robot: to rest, to be without fault, to report during the silence."""
STILL_S = 0.3
"""The robot must rest for this long before the proof, so that all motion is the proof's."""
WATCH_S = 0.5
"""How long after the time-out the robot is watched."""
END_S = 0.2
"""How long a driver that does not stop is sent zero, before the proof fails."""
MOVED = 0.5
"""The robot must cover this share of the commanded distance, or the proof fails."""
CREPT = 0.15
"""It may cover this share of the distance that it would cover if it did not stop."""


class StopProof:
    """Moves the robot slowly, stops sending, and watches whether the robot stops.

    The robot accelerates within the acceleration limit. A proof that is aborted sends zeros.

    Attributes:
        passed: Whether the driver has proved that it stops.
        failure: Why the robot must not be driven; empty while there is no reason.
        result: What was measured, once passed.
    """

    def __init__(
        self, twist: Sequence[float], timeout: float, move: float, limits: Mapping[str, AxisLimits]
    ) -> None:
        """Set up.

        Args:
            twist: Slow speed per axis, (A,), SI per second.
            timeout: Silence after which the driver stops by itself, s.
            move: How long the robot moves, s.
            limits: Limits of the A axes, in their order.

        Raises:
            ValueError: If the time-out is missing or too long, or the twist is missing, zero or too
                fast: above the velocity limits, or not reached within half of the motion.
        """
        if not 0.0 < timeout <= LONGEST_TIMEOUT_S:
            raise ValueError(
                f"driver_stop_timeout_s is {timeout:g}: robot output twist needs a driver that "
                f"stops by itself within {LONGEST_TIMEOUT_S:g} s of silence; state its time-out, "
                "or choose another output"
            )
        velocity, acceleration = column(limits, "velocity"), column(limits, "acceleration")
        self._twist = np.array(twist, np.float64)
        fits = self._twist.shape == velocity.shape and np.isfinite(self._twist).all()
        if not fits or not self._twist.any() or (np.abs(self._twist) > velocity).any():
            raise ValueError(
                f"proof_twist is {list(twist)}: state a slow speed for each action axis, not all "
                f"zero and within the velocity limits {velocity.tolist()}"
            )
        self._ramp = float((np.abs(self._twist) / acceleration).max())
        if self._ramp > 0.5 * move:
            raise ValueError(
                f"proof_twist {list(twist)} is reached only after {self._ramp:.3g} s within the "
                f"acceleration limits {acceleration.tolist()}, more than half of proof_s {move:g}: "
                "state a slower proof_twist"
            )
        self.passed = False
        self.failure = ""
        self.result = ""
        self._timeout = timeout
        self._move = move
        self._low, self._high = column(limits, "min"), column(limits, "max")
        self._fault = ""
        self._heard = -np.inf
        self._waiting: float | None = None  # since when the proof waits for the robot
        self._rest: tuple[float, Vector] | None = None
        self._began: float | None = None
        self._from: Vector | None = None  # where the motion began
        self._way: float | None = None  # covered share of the commanded distance
        self._silent: Vector | None = None  # where it was when the driver should have stopped
        self._ending: float | None = None
        self._reason = ""

    def measure(self, position: Vector, fault: str, now: float) -> None:
        """Note the position of the robot.

        Args:
            position: (A,), SI.
            fault: Why it must not move, empty if it may.
            now: Monotonic time, s.
        """
        self._fault, self._heard = fault, now
        if self._began is None:
            self._wait(position, now)
            return
        silence = now - self._began - self._move
        if silence < 0.0 or self._from is None:
            return
        if self._way is None:
            self._way = self._share(self._from, position, self._move - 0.5 * self._ramp)
        if self._silent is None:
            if silence >= self._timeout:
                self._silent = position
        elif silence >= self._timeout + WATCH_S and self._ending is None:
            self._judge(self._share(self._silent, position, WATCH_S), now)

    def command(self, now: float) -> Vector | None:
        """What to send at the monotonic time `now`, in seconds; None: nothing."""
        if self._ending is not None:
            if now - self._ending > END_S:
                self.failure = self._reason
            return np.zeros_like(self._twist)
        if self._began is None or self.passed:
            return None
        elapsed = now - self._began
        fault = self._interruption(elapsed, now)
        if fault:
            self._end(f"the proof that the driver stops was aborted: {fault}", now)
            return np.zeros_like(self._twist)
        if elapsed >= self._move:
            return None
        return self._twist * min(1.0, elapsed / self._ramp)

    def _interruption(self, elapsed: float, now: float) -> str:
        """Why the proof cannot continue after `elapsed` seconds, empty if it can."""
        moving = elapsed < self._move
        if now - self._heard > (STALE_S if moving else PATIENCE_S):
            return (
                f"no robot state has arrived for {now - self._heard:.2f} s: check the robot "
                "driver, its rate and its link"
            )
        return self._fault if moving else ""

    def _wait(self, position: Vector, now: float) -> None:
        """Begin once the robot has rested, if there is room; do not wait forever."""
        if self._waiting is None:
            self._waiting = now
        moved = self._rest is None or self._share(self._rest[1], position, STILL_S) > CREPT
        if moved or self._fault:
            self._rest = now, position
            if now - self._waiting > PATIENCE_S:
                reason = self._fault or (
                    "the robot does not rest: stop it, and check that nothing else commands it"
                )
                self.failure = (
                    "the proof that the driver stops could not begin within "
                    f"{PATIENCE_S:g} s: {reason}"
                )
            return
        if now - self._rest[0] < STILL_S:
            return
        reach = position + self._twist * (self._move + self._timeout + WATCH_S)
        inside = (np.minimum(position, reach) >= self._low) & (
            np.maximum(position, reach) <= self._high
        )
        if not inside.all():
            self.failure = (
                f"the proof that the driver stops needs room from {position.round(4).tolist()} to "
                f"{reach.round(4).tolist()}, which leaves the workspace: move the robot or change "
                "proof_twist"
            )
            return
        self._began, self._from = now, position

    def _judge(self, crept: float, now: float) -> None:
        if self._way is not None and self._way < MOVED:
            self._end(
                f"the robot covered only {self._way:.0%} of the proof's distance: check that "
                "`twist` is connected to its driver, and that the driver accepts it",
                now,
            )
        elif crept > CREPT:
            self._end(
                f"the robot still moved at {crept:.0%} of the proof's speed after "
                f"{self._timeout:g} s of silence: its driver does not stop by itself; set the "
                "driver's time-out, or choose another output",
                now,
            )
        else:
            self.passed = True
            self.result = (
                f"the robot stopped within {self._timeout:g} s of silence (then {crept:.1%} of the "
                "proof's speed)"
            )

    def _end(self, reason: str, now: float) -> None:
        self._reason, self._ending = reason, now

    def _share(self, begin: Vector, end: Vector, time: float) -> float:
        """Distance between two positions, as a share of that at the proof's speed."""
        moving = self._twist != 0.0
        return float(np.abs((end - begin)[moving] / (self._twist[moving] * time)).mean())
