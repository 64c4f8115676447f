"""What the controls of an input device do: one profile per device, in a ROS parameter file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlt_core.records import FloatArray

GROUPS = {
    "x": "linear", "y": "linear", "z": "linear",
    "roll": "angular", "pitch": "angular", "yaw": "angular",
    "gripper": "",
}
"""Every motion with its group of parameters, as in `axis_linear.x` and `axis_gripper`."""
MOTIONS = tuple(GROUPS)
FUNCTIONS = ("success", "failure", "discard", "handover", "abort", "pause")
OFF = -1


def parameter(kind: str, motion: str, suffix: str = "") -> str:
    """Name of a motion's parameter: `scale_linear_turbo.x` of ("scale", "x", "_turbo")."""
    group = GROUPS[motion]
    return f"{kind}_{group}{suffix}.{motion}" if group else f"{kind}_{motion}{suffix}"


def _parameters() -> dict[str, tuple[Any, str]]:
    table: dict[str, tuple[Any, str]] = {"profile": ("", "name of the profile, for messages")}
    for motion in MOTIONS:
        unit = {"linear": "m/s", "angular": "rad/s"}.get(GROUPS[motion], "SI units per s")
        table |= {
            parameter("axis", motion): (OFF, f"stick that moves {motion}, -1 = off"),
            parameter("triggers", motion): (
                [OFF, OFF], f"two triggers that move {motion}: the one for plus, the one for minus"
            ),
            parameter("buttons", motion): (
                [OFF, OFF], f"two buttons that move {motion}: the one for plus, the one for minus"
            ),
            parameter("scale", motion): (
                0.0, f"{motion} at full deflection, {unit}; negative inverts"
            ),
            parameter("scale", motion, "_turbo"): (
                0.0, f"the same with the turbo button held, {unit}; 0 = as without it"
            ),
        }
    table["enable_button"] = (OFF, "takeover: the person drives while it is held")
    table["enable_turbo_button"] = (OFF, "turbo: larger scales while it is held, -1 = off")
    for function in FUNCTIONS:
        table[f"{function}_button"] = (OFF, f"{function}, once per press, -1 = off")
    return table


PARAMETERS = _parameters()
"""Name -> (default, description) of every parameter of a profile."""


@dataclass(frozen=True)
class Motion:
    """How one motion is commanded.

    Attributes:
        axis: Index of a stick's axis, or OFF.
        triggers: Axes of two triggers (0 at rest, -1 when pulled), plus and minus, or OFF.
        buttons: Two buttons, plus and minus, or OFF.
        scale: SI speed at full deflection.
        turbo: The same with the turbo button held.
    """

    axis: int
    triggers: tuple[int, int]
    buttons: tuple[int, int]
    scale: float
    turbo: float

    def deflection(self, axes: Sequence[float], buttons: Sequence[int]) -> float:
        """How far the controls are deflected, -1 to 1."""
        value = axes[self.axis] if self.axis != OFF else 0.0
        for index, sign in zip(self.triggers, (1.0, -1.0), strict=True):
            if index != OFF:
                value += sign * min(1.0, max(0.0, -axes[index]))
        for index, sign in zip(self.buttons, (1.0, -1.0), strict=True):
            if index != OFF:
                value += sign * bool(buttons[index])
        return min(1.0, max(-1.0, value))


@dataclass(frozen=True)
class Profile:
    """Which control does what.

    Attributes:
        name: For messages.
        motions: The motions that have a control.
        enable: Takeover button.
        turbo: Turbo button, or OFF.
        functions: Function -> button, for those that have one.
    """

    name: str
    motions: Mapping[str, Motion]
    enable: int
    turbo: int
    functions: Mapping[str, int]

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Profile:
        """Read a profile from the values of all `PARAMETERS`.

        Raises:
            ValueError: If it is invalid; names everything that is wrong.
        """
        motions = {}
        for motion in MOTIONS:
            pairs = [tuple(values[parameter(kind, motion)]) for kind in ("triggers", "buttons")]
            if any(len(pair) != 2 for pair in pairs):
                raise ValueError(
                    f"{motion}: triggers and buttons come in pairs, plus and minus; got {pairs}"
                )
            scale = float(values[parameter("scale", motion)])
            turbo = float(values[parameter("scale", motion, "_turbo")]) or scale
            made = Motion(int(values[parameter("axis", motion)]), *pairs, scale, turbo)
            if made.axis != OFF or made.triggers != (OFF, OFF) or made.buttons != (OFF, OFF):
                motions[motion] = made
        functions = {name: int(values[f"{name}_button"]) for name in FUNCTIONS}
        profile = cls(
            name=str(values["profile"]) or "(unnamed)",
            motions=motions,
            enable=int(values["enable_button"]),
            turbo=int(values["enable_turbo_button"]),
            functions={name: index for name, index in functions.items() if index != OFF},
        )
        faults = profile._problems()
        if faults:
            raise ValueError(f"profile {profile.name}: " + "; ".join(faults))
        return profile

    @property
    def uses(self) -> list[tuple[str, int, str]]:
        """Every control in use: "axis" or "button", its index, what it does."""
        found = []
        for name, motion in self.motions.items():
            if motion.axis != OFF:
                found.append(("axis", motion.axis, name))
            for kind, pair in (("axis", motion.triggers), ("button", motion.buttons)):
                found += [
                    (kind, index, name + sign)
                    for index, sign in zip(pair, "+-", strict=True)
                    if index != OFF
                ]
        found += [
            ("button", index, what)
            for what, index in (("takeover", self.enable), ("turbo", self.turbo))
            if index != OFF
        ]
        return found + [("button", index, name) for name, index in self.functions.items()]

    @property
    def needs(self) -> tuple[int, int]:
        """Fewest axes and buttons that a device must have."""
        counts = [
            max((index + 1 for kind, index, _ in self.uses if kind == wanted), default=0)
            for wanted in ("axis", "button")
        ]
        return counts[0], counts[1]

    def no_motion(self, names: Sequence[str]) -> str:
        """Why nothing moves in a takeover of these action axes; empty if one has a control."""
        if set(names) & set(self.motions):
            return ""
        return (
            f"no control of profile {self.name} moves an action axis of this model "
            f"({', '.join(names)}): a takeover only stops the robot; a profile can give controls "
            f"to {', '.join(MOTIONS)}, and to no other axis"
        )

    def held(self, buttons: Sequence[int]) -> bool:
        """Whether the takeover button is down."""
        return bool(buttons[self.enable])

    def deflected(self, axes: Sequence[float], buttons: Sequence[int]) -> dict[str, float]:
        """The motions that are being commanded, with their deflections."""
        found = {name: m.deflection(axes, buttons) for name, m in self.motions.items()}
        return {name: value for name, value in found.items() if value}

    def increment(
        self, axes: Sequence[float], buttons: Sequence[int], names: Sequence[str], dt: float
    ) -> FloatArray:
        """What the person commands for one tick.

        Args:
            axes: Axes of the Joy message.
            buttons: Its buttons.
            names: The contract's action axes; those without a control stay at rest.
            dt: Length of a tick in s.

        Returns:
            float32 (A,), SI increments.
        """
        turbo = self.turbo != OFF and bool(buttons[self.turbo])
        speeds = np.zeros(len(names), np.float32)
        for name, value in self.deflected(axes, buttons).items():
            if name in names:
                motion = self.motions[name]
                speeds[names.index(name)] = value * (motion.turbo if turbo else motion.scale)
        return speeds * np.float32(dt)

    def _problems(self) -> list[str]:
        """What keeps the profile from working."""
        if not self.motions and self.enable == OFF and not self.functions:
            return ["it maps nothing: choose one with --profile, e.g. --profile xbox"]
        errors = []
        if self.enable == OFF:
            errors.append("enable_button is off: without it nobody can take over")
        controls: dict[tuple[str, int], str] = {}
        for kind, index, what in self.uses:
            if index < 0:
                errors.append(f"{what} is on {kind} {index}: expected an index, or -1 for off")
            elif (kind, index) in controls:
                errors.append(f"{kind} {index} does both {controls[kind, index]} and {what}")
            controls[kind, index] = what
        errors += [
            f"{parameter('scale', name)} is 0: {name} would not move"
            for name, motion in self.motions.items()
            if not motion.scale
        ]
        return errors
