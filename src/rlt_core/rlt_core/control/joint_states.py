"""Measured joints, merged by name: several drivers may publish on one topic, `joint_states`.

Each driver names its own joints (an arm's six, a gripper's one) and need not know the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlt_core.control.stamps import Stamps


@dataclass(frozen=True)
class JointSample:
    """A joint's newest measurement.

    Attributes:
        position: Position, rad or m.
        velocity: Velocity, rad/s or m/s; NaN if its driver publishes none.
        stamp: When it was measured, s, on its driver's clock; 0 if the driver sets no stamps.
        received: When it was received, monotonic seconds.
    """

    position: float
    velocity: float
    stamp: float
    received: float


class JointStates:
    """Keeps the newest measurement of each of some joints.

    A message without the position of a joint does not update that joint, nor does one that repeats
    an old stamp: a joint may therefore become stale although messages arrive.

    Attributes:
        samples: By name, for the joints received so far.
        heard: By name, for all joints: time of the last update, monotonic seconds; -inf: never.
    """

    def __init__(
        self, names: Iterable[str], topic: str = "joint_states", unit: float = 1.0
    ) -> None:
        """Set up.

        Args:
            names: The joints to keep; others in a message are ignored.
            topic: Where they are published, for messages.
            unit: What one unit of the messages is, rad or m.
        """
        self._topic = topic
        self._unit = unit
        self.samples: dict[str, JointSample] = {}
        self.heard = dict.fromkeys(names, -math.inf)
        self._stamps = Stamps()
        self._strangers: tuple[str, ...] = ()  # in the newest message without any of our joints

    @property
    def oldest(self) -> tuple[str, float]:
        """The joints that have been silent longest, and since when, monotonic seconds; -inf: ever.

        Formatted as "elbow in joint_states", or as only the topic if all joints are silent.
        """
        at = min(self.heard.values())
        silent = [name for name, heard in self.heard.items() if heard == at]
        if len(silent) < len(self.heard):
            return f"{', '.join(silent)} in {self._topic}", at
        if at == -math.inf and self._strangers:
            return f"{self._topic} (which names {', '.join(self._strangers)} only)", at
        return self._topic, at

    def merge(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float],
        stamp: float,
        now: float,
    ) -> list[str]:
        """Merge a message; return the names of the joints that it updates.

        Args:
            names: The joints that the message names, in any order.
            positions: One per name, or empty; in the unit of the messages.
            velocities: One per name, or empty; likewise, per second.
            stamp: The message's stamp, s; 0 if it has none.
            now: When it was received, monotonic seconds.

        Raises:
            ValueError: If it names one of our joints and is malformed; then nothing is updated.
        """
        wanted = [name for name in names if name in self.heard]
        if not wanted:
            self._strangers = tuple(names)
            return []
        values = {"positions": positions, "velocities": velocities}
        _require_whole(self._topic, names, wanted, values)
        if len(positions) == 0:
            return []
        later = self._stamps.fresh(wanted, stamp)
        for name in later:
            index = list(names).index(name)
            position = self._unit * float(positions[index])
            velocity = self._unit * float(velocities[index]) if len(velocities) else math.nan
            self.samples[name] = JointSample(position, velocity, stamp, now)
            self.heard[name] = now
        return later


def _require_whole(
    topic: str, names: Sequence[str], wanted: Sequence[str], values: dict[str, Sequence[float]]
) -> None:
    """Check that a message names each joint once and has a value for every name, or none.

    Raises:
        ValueError: If it does not; the message says what was received.
    """
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice:
        raise ValueError(
            f"{topic} names {', '.join(twice)} twice in one message: check the robot driver"
        )
    for what, numbers in values.items():
        if len(numbers) not in (0, len(names)):
            raise ValueError(
                f"{topic} names {len(names)} joints ({', '.join(names)}) and has "
                f"{len(numbers)} {what}: expected one for each name or none; check the robot driver"
            )
