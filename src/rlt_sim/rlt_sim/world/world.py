"""A simulated robot at a task: physics, cameras and measured state.  No ROS, no learning."""

from __future__ import annotations

import abc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from rlt_sim.world import arm
from rlt_sim.world.gl import INSTALL_LINE

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

TIMESTEP = 0.002
SUBSTEPS = 10
IMAGE_SIZE = 64


@dataclass(frozen=True)
class RobotState:
    """What a robot driver reports after a control tick; SI units, base frame.

    Attributes:
        tcp: (4,) measured x, y, z [m] and yaw [rad] of the tool centre point.
        wrench: (4,) commanded force fx, fy, fz [N] and torque tz [N m] of the impedance
            controller: stiffness x (set-point - measured), within its limits, as real impedance
            drivers report it.
        setpoint: (4,) the set-point of the last tick: x, y, z [m], yaw [rad].
        joint_names: names of the six joints, base to tip.
        joint_positions: (6,) [rad].
        joint_velocities: (6,) [rad/s].
    """

    tcp: Array
    wrench: Array
    setpoint: Array
    joint_names: tuple[str, ...]
    joint_positions: Array
    joint_velocities: Array


@dataclass(frozen=True)
class TaskState:
    """What only the simulator knows: for the supervisor, probes and labels, never for a policy.

    Attributes:
        success: whether the task is done at this tick.
        failure: whether the robot or the part has given out: it can no longer be done.
        critical: whether the critical phase of the task is reached.
        depth_m: how far the plug's tip is below the socket's rim [m]; negative above it.
        offset: (4,) plug tip minus socket rim centre: x, y, z [m] along the base frame's axes,
            and plug yaw minus socket yaw [rad].
    """

    success: bool
    failure: bool
    critical: bool
    depth_m: float
    offset: Array


class World(abc.ABC):
    """An arm with a compliant Cartesian controller at a task; one subclass per task.

    The controller follows a set-point of four axes (x, y, z, yaw; the tool points down) with a
    spring per axis, so a blocked arm pushes harder the farther its set-point is away.  Keeping that
    distance small is up to the motion limits, not to the world.
    """

    rate_hz = 1.0 / (TIMESTEP * SUBSTEPS)
    axis_names = arm.AXIS_NAMES
    camera_names = ("wrist", "scene")

    def __init__(self, mjcf: str) -> None:
        """Compile the world.

        Args:
            mjcf: the complete model: arm, task and the cameras named in `camera_names`.
        """
        self.model = mujoco.MjModel.from_xml_string(mjcf)
        self.data = mujoco.MjData(self.model)
        self._tcp = self.model.site("tcp").id
        self._setpoint: Array = np.zeros(4)
        self._everything = mujoco.MjvOption()
        self._near = mujoco.MjvOption()
        self._near.geomgroup[arm.FAR_GROUP] = 0  # out of view: two thirds of the drawing time
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        weakref.finalize(self, _close_all, self._renderers)

    @abc.abstractmethod
    def _place(self, rng: np.random.Generator) -> None:
        """Draw a start of an episode: move the task's bodies, put the arm with `_rest`."""

    @abc.abstractmethod
    def scatter(self, rng: np.random.Generator) -> None:
        """Draw a static configuration for labelled images; no physics, also invalid as a start.

        Args:
            rng: the source of randomness.
        """

    @abc.abstractmethod
    def task_state(self) -> TaskState:
        """The privileged state of the task at this tick."""

    def reset(self, seed: int) -> None:
        """Start an episode at rest; the same seed gives the same episode, bit for bit.

        Args:
            seed: non-negative number of the episode.
        """
        mujoco.mj_resetData(self.model, self.data)
        self._place(np.random.default_rng(seed))

    def step(self, setpoint: npt.NDArray[np.floating]) -> None:
        """Advance one control tick of 20 ms towards a set-point.

        Args:
            setpoint: (4,) x, y, z [m] and yaw [rad] of the TCP in the base frame.

        Raises:
            ValueError: the set-point is not four finite numbers.
        """
        goal: Array = np.array(setpoint, dtype=np.float64)
        if goal.shape != (4,) or not np.isfinite(goal).all():
            raise ValueError(
                f"A set-point is 4 finite numbers (x, y, z in m, yaw in rad), got {goal.tolist()}."
            )
        self._setpoint = goal
        self.data.ctrl[:4] = goal
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        # mj_step leaves poses of the substep's start behind: bring them up to date, cameras too.
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def state(self) -> RobotState:
        """The robot's measured state; every array is a copy."""
        tcp = self._measured()
        wrench = np.clip(arm.STIFFNESS * (self._setpoint - tcp), -arm.FORCE_LIMIT, arm.FORCE_LIMIT)
        return RobotState(
            tcp=tcp,
            wrench=wrench,
            setpoint=self._setpoint.copy(),
            joint_names=arm.JOINT_NAMES,
            joint_positions=self.data.qpos[:6].copy(),
            joint_velocities=self.data.qvel[:6].copy(),
        )

    def render(self, cameras: Sequence[str] | None = None) -> dict[str, Image]:
        """Images of the policy's cameras.

        Args:
            cameras: some of `camera_names`; all of them by default.

        Returns:
            Camera name to (64, 64, 3) uint8 RGB.

        Raises:
            ValueError: no such camera.
            RuntimeError: this machine has no headless OpenGL.
        """
        names = self.camera_names if cameras is None else cameras
        return {name: self._render(name, IMAGE_SIZE, IMAGE_SIZE, self._near) for name in names}

    def render_view(self, camera: str, width: int, height: int) -> Image:
        """One image of any camera, `overview` included, at any size.

        Args:
            camera: name of a camera of the model.
            width: pixels, at most 1280.
            height: pixels, at most 960.

        Returns:
            (height, width, 3) uint8 RGB.

        Raises:
            ValueError: no such camera.
            RuntimeError: this machine has no headless OpenGL.
        """
        return self._render(camera, width, height, self._everything)

    def close(self) -> None:
        """Free the OpenGL contexts, in the thread that has rendered.

        Also done when the world is collected or Python exits.
        """
        _close_all(self._renderers)

    def _render(
        self, camera: str, width: int, height: int, option: mujoco.MjvOption
    ) -> Image:
        """One image of the geometry groups that the option shows."""
        known = [self.model.camera(i).name for i in range(self.model.ncam)]
        if camera not in known:
            raise ValueError(f"No camera {camera!r} in this world; it has {', '.join(known)}.")
        renderer = self._renderer(width, height)
        renderer.update_scene(self.data, camera, option)
        # A policy's cameras must look the same in documents as in training: without shadows.
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = camera not in self.camera_names
        return np.array(renderer.render())

    def _renderer(self, width: int, height: int) -> mujoco.Renderer:
        """The renderer of an image size, made on first use (a context costs about 50 ms)."""
        if (height, width) not in self._renderers:
            if not hasattr(mujoco, "Renderer"):
                raise RuntimeError(f"Rendering needs EGL or OSMesa; install with: {INSTALL_LINE}")
            try:
                self._renderers[height, width] = mujoco.Renderer(self.model, height, width)
            except Exception as error:  # MuJoCo's and PyOpenGL's errors share no base class
                raise RuntimeError(
                    f"No OpenGL context for rendering ({error}); install one with: {INSTALL_LINE}"
                ) from error
        return self._renderers[height, width]

    def _measured(self) -> Array:
        """Measured TCP (4,): x, y, z [m] and yaw [rad], the heading of the tool's x axis."""
        rotation = self.data.site_xmat[self._tcp]  # row-major: entries 0 and 3 are its x axis
        return np.append(self.data.site_xpos[self._tcp], np.arctan2(rotation[3], rotation[0]))

    def _rest(self, pose: Array, tilt: tuple[float, float] = (0.0, 0.0)) -> None:
        """Put the arm at rest with its TCP at a pose (4,), the set-point on it."""
        arm.place_tcp(self.model, self.data, pose, tilt)
        self._setpoint = np.array(pose, dtype=np.float64)
        self.data.ctrl[:] = 0.0
        self.data.ctrl[:4] = self._setpoint


def _close_all(renderers: dict[tuple[int, int], mujoco.Renderer]) -> None:
    """Close renderers and forget them."""
    while renderers:
        renderers.popitem()[1].close()
