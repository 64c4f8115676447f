"""Measured joints of a robot that is driven by tool poses: near a limit nothing moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlt_core.settings import setting


@dataclass(frozen=True)
class JointSettings:
    """Limits of the measured joints; there are no defaults, since no limit is ever guessed.

    Lists hold one value per name.
    """

    joint_names: list[str] = setting([], "names in joint_states of the joints that are watched")
    joint_min: list[float] = setting([], "lowest position per joint, rad")
    joint_max: list[float] = setting([], "highest position per joint, rad")
    joint_velocity: list[float] = setting(
        [], "speed that no joint of this robot can exceed, rad/s", low=0.0
    )
    joint_margin: float = setting(
        0.1, "distance from a joint's limit at which the controller holds, rad", low=0.0
    )


class JointWatch:
    """Tells whether measured joints can be believed and keep off their limits.

    A Cartesian guard sees neither. A joint that moved further since the sample before than its
    speed allows has jumped: a slipped encoder, or a driver that was restarted.

    Args:
        settings: The limits.
        period: Control period in seconds: receipt times are not known better than that.
    """

    def __init__(self, settings: JointSettings, period: float) -> None:
        """Check the limits.

        Raises:
            ValueError: If there are none or they do not fit together; names the parameter.
        """
        names, margin = settings.joint_names, settings.joint_margin
        lists = (settings.joint_min, settings.joint_max, settings.joint_velocity)
        counts = [len(names), *map(len, lists)]
        if not names or len(set(counts)) != 1:
            raise ValueError(
                "joint_names, joint_min, joint_max and joint_velocity have "
                f"{', '.join(map(str, counts[:-1]))} and {counts[-1]} values: give the robot's "
                "config one limit per joint"
            )
        self._limits = dict(zip(names, zip(*lists, strict=True), strict=True))
        for name, (low, high, speed) in self._limits.items():
            if not low + margin < high - margin:
                raise ValueError(
                    f"joint {name} has joint_min {low:g} and joint_max {high:g}: leave room "
                    f"between them for twice the joint_margin {margin:g}"
                )
            if not 0.0 < speed < math.inf:
                raise ValueError(f"joint {name} has joint_velocity {speed:g}: expected its limit")
        self._margin = margin
        self._period = period
        self._last: tuple[float, float, dict[str, float]] | None = None

    def check(
        self, names: Sequence[str], positions: Sequence[float], stamp: float, now: float
    ) -> str:
        """Return why the robot must not move, empty if it may.

        Args:
            names: Names of the measured joints, in any order; others than the watched are ignored.
            positions: Their positions, rad.
            stamp: When the driver measured them, s, on the driver's clock.
            now: When they were received, monotonic seconds.
        """
        measured = dict(zip(names, positions, strict=False))
        last, self._last = self._last, None
        for name, (low, high, _) in self._limits.items():
            value = measured.get(name, math.nan)
            if not math.isfinite(value):
                return f"joint {name} in joint_states is {value}: check the robot driver"
            limit = low if value < low + self._margin else high
            if value < low + self._margin or value > high - self._margin:
                return (
                    f"joint {name} in joint_states is at {value:.3f} rad, within "
                    f"{self._margin:g} rad of its limit {limit:g}: move it away by the robot's own "
                    "means or reset"
                )
        self._last = (stamp, now, measured)
        return "" if last is None else self._jumped(measured, stamp, now, last)

    def _jumped(
        self,
        measured: dict[str, float],
        stamp: float,
        now: float,
        last: tuple[float, float, dict[str, float]],
    ) -> str:
        """Which joint moved faster than it can, empty if none did.

        Between two samples lies the longer of what their stamps and their receipts say: a stalled
        receiver hears several at once, and not every driver sets stamps.
        """
        elapsed = max(self._period, stamp - last[0], now - last[1])
        for name, (_, _, speed) in self._limits.items():
            moved = abs(measured[name] - last[2][name])
            if moved > speed * elapsed:
                return (
                    f"joint {name} in joint_states jumped by {moved:.3f} rad in {elapsed:.3f} s, "
                    f"faster than its joint_velocity {speed:g} rad/s: check the robot driver and "
                    "its encoders; the controller holds until the next episode"
                )
        return ""
