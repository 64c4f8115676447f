"""Detects a camera that repeats one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class FrozenCamera:
    """Detects a camera that repeats one image while the robot moves.

    A real camera never sends the same image twice; a simulated one does while nothing moves. So a
    camera is frozen if enough images in a row are identical and the robot has moved since the first
    of them. It stays frozen until its image changes.
    """

    def __init__(self, frames: int, motion: float) -> None:
        """Set up.

        Args:
            frames: Identical images in a row; 0: never frozen.
            motion: Motion of any element of the robot's position that counts as a move.
        """
        self.count = 0
        self.frozen = False
        self._frames = frames
        self._motion = motion
        self._image: Any = None
        self._position: Vector | None = None

    def see(self, image: Any, position: Vector | None) -> bool:
        """Add the next image's bytes and the robot's position, if known; return if it is frozen.

        Images are compared with `==` on their bytes, which stops at the first difference: a
        working camera of any size costs nothing.
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
