"""A scripted expert with human faults, and the recording of its demonstrations.

The faults make the demonstrations, and hence the policy cloned from them, slow and probing: the
expert misjudges where the socket is, hesitates, jams the plug on the rim, backs off and tries
again.  Without faults the same script is the floor: about the fastest that the task allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlt_sim.world import Image, RobotState, TaskState, World
from rlt_sim.world.world import Array

MAX_INCREMENT = np.array([0.001, 0.001, 0.001, np.deg2rad(1.0)])
"""Largest set-point increment per tick: x, y, z [m] and yaw [rad]."""
MAX_TRACKING_ERROR = np.array([0.006, 0.006, 0.006, np.deg2rad(6.0)])
"""Largest distance of the set-point from the measured pose: x, y, z [m] and yaw [rad]."""

_BIAS_SIGMA = np.array([0.0009, 0.0009, 0.0, np.deg2rad(1.2)])
_BIAS_SHRINK = 0.6
_FAULTY_SPEED, _CLEAN_SPEED = 0.45, 0.9  # fractions of MAX_INCREMENT
_PAUSE_PROBABILITY = 0.03
_NOISE = 0.15  # standard deviation, fraction of MAX_INCREMENT
_GAIN = 0.3  # share of the perceived error that is corrected per tick
_HOVER = 0.003  # height above the rim at which the expert waits until it believes to be aligned [m]
_ALIGNED = np.array([0.0006, 0.0006, np.inf, np.deg2rad(1.2)])
_JAM_FORCE = 5.0  # upward push that is felt as a jam [N]


class Demonstrator:
    """The expert; it sees the true offset of plug to socket plus its own bias."""

    def __init__(self, seed: int, faults: bool = True) -> None:
        """Draw the expert of one episode.

        Args:
            seed: non-negative; the same seed gives the same expert.
            faults: human faults, or the clean floor.
        """
        self._rng = np.random.default_rng([seed, 1])  # a stream of its own beside the world's
        self._faults = faults
        self._speed = _FAULTY_SPEED * self._rng.uniform(0.7, 1.3) if faults else _CLEAN_SPEED
        self._sigma = _BIAS_SIGMA.copy()
        self._bias = self._draw_bias()
        self._pause = 0
        self._retreat_to: float | None = None

    def act(self, task: TaskState, robot: RobotState) -> Array:
        """The increment of the set-point for the next tick.

        Args:
            task: the privileged state.
            robot: the measured state.

        Returns:
            (4,) float64: x, y, z [m] and yaw [rad], within `MAX_INCREMENT`.
        """
        action = self._intend(task, robot)
        if self._faults:
            action = action + self._rng.normal(0.0, _NOISE, 4) * MAX_INCREMENT
        return np.clip(action, -MAX_INCREMENT, MAX_INCREMENT)

    def _intend(self, task: TaskState, robot: RobotState) -> Array:
        """The increment without noise: pause, retreat, or align and descend."""
        if self._pause > 0:
            self._pause -= 1
            return np.zeros(4)
        if self._retreat_to is None and robot.wrench[2] < -_JAM_FORCE:
            self._pause = int(self._rng.integers(4, 15)) if self._faults else 0
            self._retreat_to = task.offset[2] + self._rng.uniform(0.002, 0.004)
            return np.zeros(4)
        if self._faults and self._rng.random() < _PAUSE_PROBABILITY:
            self._pause = int(self._rng.integers(5, 26))
        if self._retreat_to is not None:
            return self._retreat(float(task.offset[2]))
        return insertion(task.offset + self._bias, self._speed * MAX_INCREMENT)

    def _retreat(self, height: float) -> Array:
        """Back off from a jam; once clear of it, look again with a smaller bias."""
        if self._retreat_to is not None and height >= self._retreat_to:
            self._retreat_to = None
            self._sigma *= _BIAS_SHRINK
            self._bias = self._draw_bias()
        return np.array([0.0, 0.0, self._speed * MAX_INCREMENT[2], 0.0])

    def _draw_bias(self) -> Array:
        """A misjudgement (4,) of the plug's offset; none without faults."""
        return self._rng.normal(0.0, self._sigma) if self._faults else np.zeros(4)


def insertion(
    perceived: Array, limit: Array, gain: float = _GAIN, inside: float = 0.0
) -> Array:
    """How to insert: align laterally at the hovering height; once aligned, go down.

    Args:
        perceived: (4,) where the plug is believed to be, relative to the socket, see `TaskState`.
        limit: (4,) largest increment per tick: x, y, z [m] and yaw [rad].
        gain: share of the perceived error that is corrected per tick.
        inside: perceived depth below the rim from which on it only moves down [m].

    Returns:
        (4,) wanted increment: x, y, z [m] and yaw [rad].
    """
    action = np.clip(-gain * perceived, -limit, limit)
    aligned = bool((np.abs(perceived) < _ALIGNED).all())
    target = -np.inf if aligned or perceived[2] < -inside else _HOVER
    action[2] = np.clip(gain * (target - perceived[2]), -limit[2], limit[2])
    return action


def move_setpoint(setpoint: Array, increment: Array, tcp: Array) -> Array:
    """Apply an increment within the limits of speed and tracking error, as a robot's are.

    Args:
        setpoint: (4,) last set-point.
        increment: (4,) wanted change.
        tcp: (4,) measured pose.

    Returns:
        (4,) next set-point; all in x, y, z [m] and yaw [rad].
    """
    wanted = setpoint + np.clip(increment, -MAX_INCREMENT, MAX_INCREMENT)
    return np.clip(wanted, tcp - MAX_TRACKING_ERROR, tcp + MAX_TRACKING_ERROR)


@dataclass(frozen=True)
class Demonstration:
    """One recorded episode of T ticks; entry k was observed before action k was executed.

    Attributes:
        images: camera name to (ceil(T / image_stride), 64, 64, 3) uint8 RGB; empty without images.
        image_stride: ticks between images.
        proprio: (T, 8) float32: tcp x, y, z [m], yaw [rad], then fx, fy, fz [N], tz [N m].
        actions: (T, 4) float32: executed increments of the set-point, x, y, z [m] and yaw [rad].
        offsets: (T, 4) float32: privileged plug-to-socket offset, see `TaskState`.
        success: whether the task was done within the limit.
        ticks: T.
    """

    images: dict[str, Image]
    image_stride: int
    proprio: npt.NDArray[np.float32]
    actions: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    success: bool
    ticks: int


def rollout(
    world: World, demonstrator: Demonstrator, seed: int, max_ticks: int, image_stride: int = 1
) -> Demonstration:
    """Record one episode.

    Args:
        world: any task's world; reset here.
        demonstrator: a fresh one per episode.
        seed: of the episode's start.
        max_ticks: time limit [control ticks], at least 1.
        image_stride: ticks between images; 0 records none.

    Returns:
        The demonstration, successful or not.
    """
    world.reset(seed)
    images: dict[str, list[Image]] = {name: [] for name in world.camera_names}
    proprio, actions, offsets = [], [], []
    for tick in range(max_ticks):
        robot, task = world.state(), world.task_state()
        if image_stride and tick % image_stride == 0:
            for name, image in world.render().items():
                images[name].append(image)
        setpoint = move_setpoint(robot.setpoint, demonstrator.act(task, robot), robot.tcp)
        proprio.append(np.concatenate([robot.tcp, robot.wrench]))
        actions.append(setpoint - robot.setpoint)
        offsets.append(task.offset)
        world.step(setpoint)
        verdict = world.task_state()
        if verdict.success or verdict.failure:
            break
    return Demonstration(
        images={name: np.stack(frames) for name, frames in images.items() if frames},
        image_stride=image_stride,
        proprio=np.asarray(proprio, dtype=np.float32),
        actions=np.asarray(actions, dtype=np.float32),
        offsets=np.asarray(offsets, dtype=np.float32),
        success=world.task_state().success,
        ticks=len(actions),
    )
