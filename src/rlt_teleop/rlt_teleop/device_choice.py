"""Which of several input devices is used: the one that was chosen, wherever it is in the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Attached:
    """A device that is attached now.

    Attributes:
        index: Its place among the attached devices, which shifts when another one is removed.
        instance: Its unique number; it gets a new one when it comes back.
        name: The name that it reports.
        make: Bus, vendor, product and version, hexadecimal (SDL's GUID).
        serial: Its serial number, empty if it reports none.
        usable: Whether its buttons and axes are known.
    """

    index: int
    instance: int
    name: str
    make: str
    serial: str
    usable: bool

    def __str__(self) -> str:
        """Its identity: the same after it was away, and after a restart."""
        return f"{self.name} ({self.serial or self.make})"


class Choice:
    """Picks a device once, and from then on the same one or none.

    A device that comes back is recognised by its identity. Of two that look alike and report no
    serial number, the one that was attached beside the chosen one is another one. If both have been
    away, they cannot be told apart.

    Attributes:
        chosen: The device that was picked, as it was last attached; None before.
    """

    def __init__(self, name: str, position: int) -> None:
        """Set up.

        Args:
            name: Name of the wanted device; empty: any.
            position: Which of the attached devices of this name, in order of their index.
        """
        self.chosen: Attached | None = None
        self._name = name
        self._position = position
        self._beside: set[int] = set()

    def pick(self, attached: Sequence[Attached]) -> Attached | None:
        """The device to use now, None if it is not attached."""
        found = self._again(attached) if self.chosen else self._first(attached)
        if found is not None:
            self.chosen = found
            self._beside = {each.instance for each in self._alike(attached)} - {found.instance}
        return found

    def used(self, attached: Sequence[Attached]) -> str:
        """Which device is used, and which are not."""
        others = [str(each) for each in attached if each.instance != self.chosen.instance]
        unused = f"; attached and not used: {', '.join(others)}" if others else ""
        return f"game controller: {self.chosen}{unused}"

    def missing(self, attached: Sequence[Attached]) -> str:
        """Why there is no device to use, and what to do."""
        names = ", ".join(f"{each.index}: {each}" for each in attached)
        if self.chosen is not None:
            return self._gone(attached, names)
        if not attached:
            return (
                "no game controller is attached: plug one in, or switch it on; if it is, check "
                "that you may read /dev/input/event* (group input)"
            )
        fitting = [each for each in attached if self._name in ("", each.name)]
        if not fitting:
            return f"no controller is called {self._name!r}; attached: {names}"
        if self._position >= len(fitting):
            called = f" called {self._name!r}" if self._name else ""
            return f"there is no device {self._position}{called}; attached: {names}"
        return (
            f"SDL has no mapping for the device (attached: {names}): set the environment "
            "variable SDL_GAMECONTROLLERCONFIG to its mapping, or use another"
        )

    def _first(self, attached: Sequence[Attached]) -> Attached | None:
        fitting = [each for each in attached if self._name in ("", each.name)]
        found = fitting[self._position : self._position + 1]
        return found[0] if found and found[0].usable else None

    def _again(self, attached: Sequence[Attached]) -> Attached | None:
        alike = {each.instance: each for each in self._alike(attached)}
        if self.chosen.instance in alike:
            return alike[self.chosen.instance]
        came = [each for number, each in alike.items() if number not in self._beside]
        return came[0] if len(came) == 1 and self._beside <= alike.keys() else None

    def _alike(self, attached: Sequence[Attached]) -> list[Attached]:
        """The attached devices with the identity of the chosen one."""
        return [each for each in attached if str(each) == str(self.chosen)]

    def _gone(self, attached: Sequence[Attached], names: str) -> str:
        if not attached:
            return f"{self.chosen} is gone: attach it again, or switch it on"
        if any(each.instance == self.chosen.instance for each in attached):
            return f"{self.chosen} cannot be opened: attach it again, or use another"
        came = {each.instance for each in self._alike(attached)} - self._beside
        why = "looks like it and has been away, too" if came else "is another one"
        return (
            f"{self.chosen} is gone; what is attached ({names}) {why}, and is not used: attach it "
            "again, or choose by restarting the gamepad node with device_name or device_id"
        )
