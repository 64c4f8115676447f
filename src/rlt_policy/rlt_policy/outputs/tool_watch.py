"""Checks a driver's tool pose before commands are computed from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rlt_core.control.tool_pose import Quaternion, frame_fault, tool_tilt
from rlt_core.settings import setting

NORM_TOLERANCE = 1e-3
"""A quaternion further from unit length is invalid: float32 is off by 1e-7."""


@dataclass(frozen=True)
class ToolSettings:
    """How far the tool may tilt; there is no default, since no limit is guessed."""

    tool_tilt_max: float = setting(
        0.0, "largest angle of the measured tool from straight down, rad", low=0.0, high=0.5
    )


class ToolWatch:
    """Checks that a measured tool pose is plausible, and close enough to one that points down.

    Commands are poses whose tool points straight down. The first one would turn a tilted tool
    there without a speed limit: so it must not be tilted further than it gives way under load.
    """

    def __init__(self, settings: ToolSettings, frame: str) -> None:
        """Check the limit.

        Args:
            settings: The limit.
            frame: Frame in which poses are measured and commanded.

        Raises:
            ValueError: If it is not set.
        """
        if not settings.tool_tilt_max > 0.0:
            raise ValueError(
                f"tool_tilt_max is {settings.tool_tilt_max:g}: state in the robot's config how far "
                "its tool may tilt from straight down under load, in rad"
            )
        self._tilt_max = settings.tool_tilt_max
        self._frame = frame

    def check(self, frame: str, orientation: Quaternion) -> str:
        """Return why the robot must not move, empty if it may.

        An orientation that holds a NaN passes here; its yaw is rejected later.

        Args:
            frame: Frame in which the pose was measured.
            orientation: Quaternion (x, y, z, w) of the tool.
        """
        if fault := frame_fault("tcp_pose", frame, self._frame):
            return fault
        norm, tilt = math.hypot(*orientation), tool_tilt(*orientation)
        if abs(norm - 1.0) > NORM_TOLERANCE:
            return (
                f"the orientation in tcp_pose, x y z w = {list(orientation)}, has length "
                f"{norm:.4g}: expected a unit quaternion, check the robot driver"
            )
        if tilt > self._tilt_max:
            return (
                f"the tool in tcp_pose is tilted by {tilt:.3f} rad ({math.degrees(tilt):.0f} "
                f"degrees) from straight down, where every command would turn it at once; "
                f"tool_tilt_max is {self._tilt_max:g}: turn it down with the robot's own controls; "
                "the controller holds until the next episode"
            )
        return ""
