"""Angles on a circle: a full turn more is the same position.

To compare two positions, first move one of them near the other; only this module does that.
`VectorSpec.circular` defines which axes are on a circle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TURN = 2.0 * math.pi


def near(angle: float, reference: float) -> float:
    """The angle moved by full turns to within half a turn of the reference; all in rad.

    An angle that is already there is returned bit for bit; so is one that is not finite.
    """
    away = angle - reference
    if not 0.5 * TURN < abs(away) < math.inf:
        return angle
    return reference + math.remainder(away, TURN)


def all_near(
    place: NDArray[np.float64], reference: NDArray[np.float64], circular: Sequence[bool]
) -> NDArray[np.float64]:
    """A position (A,) whose angles on a circle are moved near those of a reference (A,); SI."""
    moved = np.array(place, np.float64)
    for index, turns in enumerate(circular):
        if turns:
            moved[index] = near(float(place[index]), float(reference[index]))
    return moved
