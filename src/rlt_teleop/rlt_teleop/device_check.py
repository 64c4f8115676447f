"""The view of `operator --check`: what a device shows now, and what each of its controls does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from rlt_teleop.device_profile import Profile

Device = tuple[tuple[float, ...], tuple[int, ...]]
"""Axes and buttons of a Joy message."""
MOVED = 0.1
"""A stick that has moved by this much gets a line."""
BAR = 8
COLUMNS = 3


def table_lines(
    profile: Profile,
    axes: Sequence[float],
    buttons: Sequence[int],
    names: Sequence[str],
    fault: str,
    width: int,
) -> list[str]:
    """The complete view; every line is shorter than `width`.

    Args:
        profile: What the controls mean.
        axes: Axes of the last Joy message.
        buttons: Its buttons.
        names: The contract's action axes; empty if no model is given.
        fault: Why the device cannot be used now, empty if it can.
        width: Columns of the terminal.
    """
    meaning = {(kind, index): what for kind, index, what in profile.uses}
    lines = textwrap.wrap(f"profile {profile.name}: {fault or 'the device is ready'}", width - 1)
    sticks = [
        f"axis {index:2d} {value:+.2f} {_bar(value)} {meaning.get(('axis', index), '-')}"
        for index, value in enumerate(axes)
    ]
    moving = {} if fault else profile.deflected(axes, buttons)
    motions = [
        f"-> {name:8s} {moving.get(name, 0.0):+.2f}"
        + ("" if name in profile.motions else " (no control: stays at rest)")
        for name in names or profile.motions
    ]
    lines += [f"{left:44s}{right}" for left, right in zip_longest(sticks, motions, fillvalue="")]
    cells = [
        f"button {index:2d} {'DOWN' if value else '  up'} "
        f"{meaning.get(('button', index), '-'):10s}"
        for index, value in enumerate(buttons)
    ]
    rows = -(-len(cells) // COLUMNS)
    lines += ["".join(cells[row::rows]) for row in range(rows)]
    return [line.rstrip()[: width - 1] for line in lines]


def change_lines(profile: Profile, before: Device, after: Device) -> list[str]:
    """One line per control that was moved, pressed or released since the state before."""
    meaning = {(kind, index): what for kind, index, what in profile.uses}
    if tuple(map(len, before)) != tuple(map(len, after)):
        return [f"the device has {len(after[0])} axes and {len(after[1])} buttons"]
    lines = [
        f"axis {index} {new:+.2f} {meaning.get(('axis', index), '-')}"
        for index, (old, new) in enumerate(zip(before[0], after[0], strict=True))
        if round(old / MOVED) != round(new / MOVED)
    ]
    return lines + [
        f"button {index} {'down' if new else 'up'} {meaning.get(('button', index), '-')}"
        for index, (old, new) in enumerate(zip(before[1], after[1], strict=True))
        if old != new
    ]


def _bar(value: float) -> str:
    """A stick from -1 to 1, drawn as [    ####|        ]."""
    length = min(BAR, round(abs(value) * BAR))
    left = "#" * length if value < 0 else ""
    right = "#" * length if value > 0 else ""
    return f"[{left:>{BAR}}|{right:<{BAR}}]"
