"""Input validation of the controller: which inputs are rejected, and with which message.

Every source is checked in the same order: finite, then shape and names, then contract, then
sequence. Only a fault that the robot itself reports comes before all of these. Age, episode and
planning grid are checked where the time is known, in `control_loop` and `chunk_scheduler`. The
order of named axes is the only thing that is corrected here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.control.motion_limits import MotionLimiter
from rlt_core.control.rejection import Rejection
from rlt_core.records import ActionChunk, HumanInput, RobotState, Source

IMPLAUSIBLE = 3.0
"""An increment of more than this many velocity limits has a wrong unit; it is not a fast motion."""
POLICIES = (Source.BASE, Source.ACTOR)
"""Valid sources of a chunk: human ticks and holds are decided in the controller only."""


class InputValidator:
    """Checks chunks, human commands and robot states against the contract."""

    def __init__(self, contract: Contract, limiter: MotionLimiter) -> None:
        """Set up.

        Args:
            contract: The contract of the run.
            limiter: Knows the motion limits.
        """
        self._space = contract.action
        self._axes = contract.action.names
        self._chunk = contract.chunk
        self._tail = contract.horizon - contract.planning_delay_ticks - contract.chunk
        self._hash = contract.hash()
        self._implausible = IMPLAUSIBLE * limiter.max_increment
        self._max_increment = limiter.max_increment
        self._max_step = limiter.max_step
        self._max_tracking_error = limiter.max_tracking_error

    def check_chunk(self, chunk: ActionChunk) -> ActionChunk | Rejection:
        """Return the chunk with its axes in the contract's order, or why it is rejected."""
        what = f"action chunk for tick {chunk.start_tick}"
        order = self._order(chunk.axis_names)
        actions = _matrix(chunk.actions)
        tail = _matrix(chunk.tail)
        if actions is None or tail is None:
            return Rejection(
                "shape", f"{what} is not a numeric matrix: check what the policy publishes"
            )
        for name, values in (("actions", actions), ("tail", tail)):
            place = _first_nonfinite(values, chunk.axis_names)
            if place:
                return Rejection(
                    "nonfinite", f"{what}: {name}{place}: chunk rejected, check the policy's input"
                )
        expected = ((self._chunk, len(self._axes)), (self._tail, len(self._axes)))
        if (actions.shape, tail.shape) != expected:
            return Rejection(
                "shape",
                f"{what} has actions {actions.shape} and tail {tail.shape}, expected "
                f"{expected[0]} and {expected[1]}: start policy and controller with one contract",
            )
        if order is None:
            return self._wrong_names(what, chunk.axis_names)
        if chunk.contract_hash != self._hash:
            return self._wrong_contract(what, chunk.contract_hash)
        if chunk.source not in POLICIES:
            return Rejection(
                "source",
                f"{what} has source {chunk.source.name}, expected "
                f"{' or '.join(source.name for source in POLICIES)}: check what the policy "
                "publishes",
            )
        if order != list(range(len(order))):
            actions, tail = actions[:, order], tail[:, order]
        wild = np.abs(actions) > self._implausible
        if wild.any():
            row, axis = np.argwhere(wild)[0]
            return self._implausible_value(
                f"{what}: actions[{row}, {self._axes[axis]}]", actions[row, axis], axis
            )
        return dataclasses.replace(
            chunk,
            actions=actions.astype(np.float32, copy=False),
            tail=tail.astype(np.float32, copy=False),
            axis_names=self._axes,
        )

    def check_human(self, human: HumanInput) -> NDArray[np.float64] | Rejection:
        """Return the increment (A,) in the contract's order, or why the command is rejected."""
        what = f"human command {human.sequence}"
        increment = _vector(human.increment)
        if increment is None:
            return Rejection("shape", f"{what} is not a vector: check the operator node")
        place = _first_nonfinite(increment, human.axis_names)
        if place:
            return Rejection("nonfinite", f"{what}: increment{place}: check the input device")
        if increment.shape != (len(self._axes),):
            return Rejection(
                "shape",
                f"{what} has {increment.size} elements, expected {len(self._axes)} "
                f"({', '.join(self._axes)}): check the gamepad's configuration",
            )
        order = self._order(human.axis_names)
        if order is None:
            return self._wrong_names(what, human.axis_names)
        if human.contract_hash != self._hash:
            return self._wrong_contract(what, human.contract_hash)
        increment = increment[order]
        wild = np.flatnonzero(np.abs(increment) > self._implausible)
        if wild.size:
            axis = int(wild[0])
            return self._implausible_value(
                f"{what}: increment[{self._axes[axis]}]", increment[axis], axis
            )
        return increment

    def check_state(self, state: RobotState, previous: RobotState | None) -> Rejection | None:
        """Reject a state with a fault, without a valid position, or after a jump from `previous`.

        `previous` is the last good state. A robot that follows within `max_tracking_error` cannot
        move further between two states than twice that and the set-point's own motion.
        """
        if state.fault:
            return Rejection("state", state.fault)
        position = _vector(state.position)
        what = f"robot state of tick {state.tick}"
        if position is None:
            return Rejection("shape", f"{what} is not a vector: check the robot driver")
        place = _first_nonfinite(position, self._axes)
        if place:
            return Rejection("nonfinite", f"{what}: position{place}: check the robot driver")
        if position.shape != (len(self._axes),):
            return Rejection(
                "shape",
                f"{what} has {position.size} elements, expected {len(self._axes)} "
                f"({', '.join(self._axes)}): check the robot's configuration",
            )
        if previous is None:
            return None
        ticks = max(1, state.tick - previous.tick)
        moved = self._space.distances(position, previous.position)
        allowed = 2.0 * self._max_tracking_error + ticks * self._max_step
        if (moved > allowed).any():
            most = int(np.argmax(moved - allowed))
            return Rejection(
                "jump",
                f"{what}: {self._space.measures[most]} moved by {moved[most]:.4g} in {ticks} "
                f"tick(s), more than the plausible {allowed[most]:.4g}: check sensor and driver; "
                "the controller holds until the next episode",
            )
        return None

    def _order(self, names: Sequence[str]) -> list[int] | None:
        """Indices that put `names` into the contract's order, None if the names differ."""
        if tuple(names) == self._axes:
            return list(range(len(self._axes)))
        if sorted(names) != sorted(self._axes):
            return None
        return [list(names).index(name) for name in self._axes]

    def _wrong_names(self, what: str, names: Sequence[str]) -> Rejection:
        return Rejection(
            "names",
            f"{what} names the axes ({', '.join(names)}), expected ({', '.join(self._axes)}) in "
            "any order: give both sides the same action space",
        )

    def _wrong_contract(self, what: str, found: str) -> Rejection:
        return Rejection(
            "contract",
            f"{what} was made under contract {found or '(none)'}, expected {self._hash}: start "
            "all nodes with the same model, task and run constants",
        )

    def _implausible_value(self, where: str, value: float, axis: int) -> Rejection:
        return Rejection(
            "scale",
            f"{where} = {value:.4g} is more than {IMPLAUSIBLE:g} times the velocity limit "
            f"{self._max_increment[axis]:.4g} per tick: check units and normaliser",
        )


def _matrix(values: object) -> NDArray[np.float64] | None:
    """The values as a float64 matrix, or None if they are not one."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 2 else None


def _vector(values: object) -> NDArray[np.float64] | None:
    """The values as a float64 vector, or None if they are not one."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 else None


def _first_nonfinite(values: NDArray[np.float64], names: Sequence[str]) -> str:
    """Name and value of the first element that is not finite; empty if all are."""
    finite = np.isfinite(values)
    if finite.all():
        return ""
    place = tuple(int(index) for index in np.argwhere(~finite)[0])
    column = names[place[-1]] if place[-1] < len(names) else str(place[-1])
    row = f"{place[0]}, " if len(place) == 2 else ""
    return f"[{row}{column}] = {values[place]}"
