"""The sources of an observation in real time: their newest messages, and why they make none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlt_core.settings import setting
from rlt_policy.faults import Fault

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ObserverSettings:
    """When a source is too old, too far from the others, or frozen."""

    max_age_s: float = setting(
        0.1, "real time: oldest source that an observation may contain, s", low=0.001
    )
    max_skew_s: float = setting(
        0.05, "real time: largest distance of two sources' stamps, s", low=0.001
    )
    frozen_frames: int = setting(
        10,
        "real time: identical images in a row from which on a camera may be frozen; 0: never",
        low=0,
    )
    frozen_motion: float = setting(
        0.001,
        "real time: motion of the tool (m) or of a joint (rad) that a camera must show",
        low=0.0,
    )


class FrozenCamera:
    """Notices a camera that sends one image over and over while the robot moves.

    Real cameras are never twice the same, simulated ones are while nothing moves: so a camera is
    frozen if enough images in a row are identical and the robot has moved since the first of them.
    It stays so until its image changes.

    Args:
        frames: Identical images in a row; 0: never frozen.
        motion: Motion of any element of the robot's position.
    """

    def __init__(self, frames: int, motion: float) -> None:
        self.count = 0
        self.frozen = False
        self._frames = frames
        self._motion = motion
        self._image: Any = None
        self._position: Vector | None = None

    def see(self, image: Any, position: Vector | None) -> bool:
        """Take the next image's bytes and the robot's position, if known; return if it is frozen.

        Equal is what `==` of the bytes says: it ends at the first difference, so that a working
        camera of any size costs nothing.
        """
        if self._image is None or image != self._image:
            self._image, self._position = image, position
            self.count, self.frozen = 1, False
            return False
        self.count += 1
        if self._position is None:
            self._position = position
        elif position is not None and 0 < self._frames <= self.count:
            moved = np.abs(position - self._position) > self._motion
            self.frozen = self.frozen or bool(moved.any())
        return self.frozen


class Sources:
    """The newest message of each source, its receipt and its stamp.

    Args:
        names: Topics of all sources.
        cameras: Those of them that are cameras.
        settings: The limits.
    """

    def __init__(
        self, names: Iterable[str], cameras: Iterable[str], settings: ObserverSettings
    ) -> None:
        self.newest: dict[str, Any] = {}
        self._names = tuple(names)
        self._settings = settings
        self._received: dict[str, float] = {}
        self._stamps: dict[str, float] = {}
        self._cameras = {
            name: FrozenCamera(settings.frozen_frames, settings.frozen_motion) for name in cameras
        }

    def keep(
        self, source: str, message: Any, stamp: float, now: float, position: Vector | None
    ) -> None:
        """Keep a source's newest message.

        Args:
            source: Its topic.
            message: The message; of a camera, `data` holds the image's bytes.
            stamp: Its stamp, s.
            now: Monotonic time, s.
            position: Measured position of the robot (m, rad), None if it is unknown.
        """
        self.newest[source] = message
        self._received[source], self._stamps[source] = now, stamp
        if source in self._cameras:
            self._cameras[source].see(message.data, position)

    def ages(self, now: float) -> Mapping[str, float]:
        """Seconds since the receipt of each source that has sent something."""
        return {source: now - received for source, received in self._received.items()}

    def skew(self) -> float:
        """Distance of the oldest and the newest stamp, s."""
        return max(self._stamps.values(), default=0.0) - min(self._stamps.values(), default=0.0)

    def fault(self, now: float) -> Fault | None:
        """What makes an observation impossible now, None if nothing does."""
        ages, limit = self.ages(now), self._settings.max_age_s
        for source in self._names:
            if source not in ages:
                return Fault(
                    "missing", source,
                    f"nothing has come on {source}: start that driver or remap the topic",
                )
            if ages[source] > limit:
                return Fault(
                    "age", source,
                    f"{source} is {ages[source]:.2f} s old (max_age_s {limit:g}): check its "
                    "driver and cable",
                )
        for source, camera in self._cameras.items():
            if camera.frozen:
                return Fault(
                    "frozen", source,
                    f"the last {camera.count} images on {source} are identical although the robot "
                    f"has moved by more than frozen_motion {self._settings.frozen_motion:g}: the "
                    "camera is frozen, restart its driver",
                )
        return self._skewed(ages)

    def _skewed(self, ages: Mapping[str, float]) -> Fault | None:
        """Stamps too far apart: a driver that lags, or one that has fallen silent."""
        skew, limit = self.skew(), self._settings.max_skew_s
        if skew <= limit:
            return None
        first, last = (best(self._stamps, key=self._stamps.__getitem__) for best in (min, max))
        behind = f"{skew:.3f} s behind {last}, more than max_skew_s {limit:g}"
        if skew - ages[first] <= limit:  # it was not behind when it came
            silent = f"{first} is {ages[first]:.2f} s old and {behind}: check its driver and cable"
            return Fault("age", first, silent)
        return Fault(
            "skew", first,
            f"{first} is {behind}: synchronise the drivers' clocks or speed up that driver",
        )
