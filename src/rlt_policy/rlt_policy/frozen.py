"""Whether a camera sends one image over and over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


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
