"""What time it is on the clock of a robot's driver, by the stamps of its messages."""

from __future__ import annotations

from collections import deque

WINDOW_S = 1.0


class DriverClock:
    """Compares stamps with the times of receipt; the two clocks need not agree.

    The message that was delivered fastest within the last second counts, so the estimate is behind
    the driver's clock by the shortest delivery, and never ahead while that clock runs evenly.
    """

    def __init__(self) -> None:
        """Set up; nothing is known yet."""
        self._behind = float("nan")
        self._lowest: deque[tuple[float, float]] = deque()  # receipt and difference, both rising

    def note(self, stamp: float, received: float) -> None:
        """Note a message.

        Args:
            stamp: When the driver sent it, s, on its clock.
            received: When it was received, monotonic seconds.
        """
        difference = received - stamp
        while self._lowest and self._lowest[-1][1] >= difference:
            self._lowest.pop()
        self._lowest.append((received, difference))
        while self._lowest[0][0] < received - WINDOW_S:
            self._lowest.popleft()
        self._behind = self._lowest[0][1]

    def at(self, moment: float) -> float:
        """The driver's time, s, at a monotonic time; NaN before the first message."""
        return moment - self._behind
