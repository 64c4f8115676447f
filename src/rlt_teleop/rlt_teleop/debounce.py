"""Presses from samples: one per clean press, none from chatter, none from both labels at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = ("success", "failure")


@dataclass(frozen=True)
class Press:
    """One press of a button; `rejection` says why it does not count, empty if it does."""

    function: str
    rejection: str = ""


class Debounced:
    """One button. It must be seen steadily up before it can be pressed."""

    def __init__(self) -> None:
        self.down: bool | None = None
        self._since = 0.0
        self._ready = False
        self._appeared_down = False
        self._bounced = False

    def update(self, down: bool, now: float, debounce_s: float) -> str | None:
        """Process a sample.

        Args:
            down: Whether the button is down.
            now: Monotonic time of the sample in s.
            debounce_s: How long it must stay as it is to count.

        Returns:
            Empty if the sample completes a press; the reason if what just happened is not a
            press; None if nothing happened.
        """
        if self.down is None:
            self._appeared_down = down
        if down is not self.down:
            self._bounced |= self._ready and not down
            self.down, self._since = down, now
        if now - self._since < debounce_s:
            return None
        return self._steadily_down() if down else self._steadily_up()

    def _steadily_down(self) -> str | None:
        self._bounced = False
        if self._ready:
            self._ready = False
            return ""
        if self._appeared_down:
            self._appeared_down = False
            return "it was down when the device appeared: release it first"
        return None

    def _steadily_up(self) -> str | None:
        bounced, self._bounced = self._bounced, False
        self._ready = True
        return "it was down for too short a time: press it again, longer" if bounced else None

    @property
    def up(self) -> bool:
        """Whether the button has been steadily up."""
        return self._ready and not self.down


class Buttons:
    """All function buttons of a device.

    A press counts when the button has been steadily down for a while, after it had been seen
    steadily up. If both labels are down when one of them would count, neither does until both
    are up again; a label that has counted before the other came down stays counted. What is not a
    press is reported too, once, so that nobody takes it for one.
    """

    def __init__(self, debounce_s: float) -> None:
        """Begin without having seen any button.

        Args:
            debounce_s: How long a button must stay down, or up, to count.
        """
        self._debounce_s = debounce_s
        self._buttons: dict[str, Debounced] = {}
        self._ambiguous = False
        self._counted = ""

    def reset(self) -> None:
        """The device was away: what is down now must be released first."""
        self._buttons.clear()
        self._ambiguous = False
        self._counted = ""

    def update(self, down: Mapping[str, bool], now: float) -> list[Press]:
        """Process a sample of all buttons, function -> whether it is down, at monotonic `now`."""
        results = {}
        for function, is_down in down.items():
            button = self._buttons.setdefault(function, Debounced())
            rejection = button.update(is_down, now, self._debounce_s)
            if rejection is not None:
                results[function] = rejection
        presses = [self._judge(function, rejection) for function, rejection in results.items()]
        labels = [self._buttons[name] for name in LABELS if name in self._buttons]
        self._ambiguous = self._ambiguous and not all(button.up for button in labels)
        if self._counted and self._buttons[self._counted].up:
            self._counted = ""
        return [press for press in presses if press is not None]

    def _judge(self, function: str, rejection: str) -> Press | None:
        """The press to report; None if it belongs to an ambiguity that was reported already."""
        if function not in LABELS:
            return Press(function, rejection)
        if self._ambiguous:
            return None
        if all(name in self._buttons and self._buttons[name].down for name in LABELS):
            self._ambiguous = True
            return Press(function, self._both_down(function))
        if not rejection:
            self._counted = function
        return Press(function, rejection)

    def _both_down(self, function: str) -> str:
        """Why a label does not count while the other one is down too."""
        if self._counted:
            return (
                f"{self._counted} came first and was applied, unless it was refused; to correct "
                f"it, release both and press {function} alone"
            )
        return "success and failure are down together: release both"
