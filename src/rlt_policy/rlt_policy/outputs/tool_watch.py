"""Checks a driver's tool pose before commands are computed from it."""

from __future__ import annotations

import math

from rlt_core.control.rotations import Quaternion
from rlt_core.control.tool_pose import frame_fault, orientation_fault, tool_tilt


class ToolWatch:
    """Checks that a measured tool pose is plausible, and close enough to one that points down.

    Commands to a tool without roll and pitch are poses that point straight down. The first one
    would turn a tilted tool there without a speed limit: so it must not be tilted further than it
    gives way under load.
    """

    def __init__(self, topic: str, frame: str, tilt_max: float | None) -> None:
        """Set up.

        Args:
            topic: Topic of the poses, for messages.
            frame: Frame in which poses are measured and commanded.
            tilt_max: How far the tool may tilt from straight down, rad; None: it may point
                anywhere.
        """
        self._topic = topic
        self._frame = frame
        self._tilt_max = tilt_max

    def check(self, frame: str, orientation: Quaternion) -> str:
        """Return why the robot must not move, empty if it may.

        An orientation that holds a NaN passes here; the position that it yields is rejected later.

        Args:
            frame: Frame in which the pose was measured.
            orientation: Quaternion (x, y, z, w) of the tool.
        """
        if fault := frame_fault(self._topic, frame, self._frame):
            return fault
        if fault := orientation_fault(self._topic, orientation):
            return fault
        tilt = tool_tilt(*orientation)
        if self._tilt_max is not None and tilt > self._tilt_max:
            return (
                f"the tool in {self._topic} is tilted by {tilt:.3f} rad ({math.degrees(tilt):.0f} "
                f"degrees) from straight down, where every command would turn it at once; "
                f"tilt_max is {self._tilt_max:g}: turn it down with the robot's own controls; "
                "the controller holds until the next episode"
            )
        return ""
