"""Checks the joints of a robot that is driven by tool poses: near a limit it must not move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rlt_core.control.joint_states import JointSample
from rlt_core.settings import setting


@dataclass(frozen=True)
class JointSettings:
    """Limits of the measured joints; there are no defaults, since no limit is guessed.

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
    """Checks that measured joints are plausible and keep off their limits.

    Cartesian motion limits check neither. A joint that moved further since the previous sample than
    its speed allows has jumped: a slipped encoder, or a driver that was restarted.
    """

    def __init__(self, settings: JointSettings, period: float) -> None:
        """Check the limits.

        Args:
            settings: The limits.
            period: Control period in seconds: receipt times are not more accurate than that.

        Raises:
            ValueError: If they are missing or inconsistent; names the parameter.
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
        if len(set(names)) < len(names):
            raise ValueError(f"joint_names is {list(names)}: it names a joint twice")
        self._limits = dict(zip(names, zip(*lists, strict=True), strict=True))
        for name, (low, high, speed) in self._limits.items():
            if not low + margin < high - margin:
                raise ValueError(
                    f"joint {name} has joint_min {low:g} and joint_max {high:g}: leave room "
                    f"between them for twice the joint_margin {margin:g}"
                )
            if not 0.0 < speed < math.inf:
                raise ValueError(
                    f"joint {name} has joint_velocity {speed:g}: expected a finite limit above 0"
                )
        self._margin = margin
        self._period = period
        self._last: dict[str, JointSample] = {}

    def check(self, news: Mapping[str, JointSample]) -> str:
        """Return why the robot must not move, empty if it may.

        Args:
            news: The newest measurements, by name, of any of the watched joints.
        """
        faults = [self._fault(name, sample) for name, sample in news.items()]
        return next((fault for fault in faults if fault), "")

    def _fault(self, name: str, sample: JointSample) -> str:
        """The fault of a joint, empty if there is none."""
        low, high, _ = self._limits[name]
        last, value = self._last.pop(name, None), sample.position
        if not math.isfinite(value):
            return f"joint {name} in joint_states is {value}: check the robot driver"
        limit = low if value < low + self._margin else high
        if value < low + self._margin or value > high - self._margin:
            return (
                f"joint {name} in joint_states is at {value:.3f} rad, within "
                f"{self._margin:g} rad of its limit {limit:g}: move it away with the robot's "
                "own controls, or reset"
            )
        self._last[name] = sample
        return "" if last is None else self._jumped(name, sample, last)

    def _jumped(self, name: str, sample: JointSample, last: JointSample) -> str:
        """Report that a joint moved faster than it can, empty if it did not.

        The time between two samples is the longer of the differences of their stamps and of their
        receipt times: a stalled receiver gets several at once, and not every driver sets stamps.
        """
        elapsed = max(self._period, sample.stamp - last.stamp, sample.received - last.received)
        speed, moved = self._limits[name][2], abs(sample.position - last.position)
        if moved <= speed * elapsed:
            return ""
        return (
            f"joint {name} in joint_states jumped by {moved:.3f} rad in {elapsed:.3f} s, faster "
            f"than its joint_velocity {speed:g} rad/s: check the robot driver and its encoders; "
            "the controller holds until the next episode"
        )
