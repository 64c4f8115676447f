"""The simulated robot behind the topics of a robot driver: images, state, set-points, reset.

In lockstep it owns the tick: it publishes tick k and steps when the command for k arrives. In
real time it runs at its own rate in its own thread and holds after 100 ms without a command.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from rlt_core.settings import setting
from rlt_interfaces.action import Reset
from rlt_interfaces.msg import TaskState
from rlt_node import qos
from rlt_node.conversions import (
    axes_of_pose,
    doubles,
    fill_pose_down,
    floats,
    image_to_msg,
    stamp_of_tick,
    tick_of_stamp,
)
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_sim.world import RobotState, World, make_world
from rlt_sim.world.world import Array

BASE_FRAME = "base_link"
RESET_SECONDS = 5.0
CLOSE_SECONDS = 4.0  # a first image may take that long: its thread must not outlive OpenGL


@dataclass(frozen=True)
class SimulatorSettings:
    """The simulated robot and its task."""

    task: str = setting("ethernet", "task of the simulated world")
    clearance_m: float = setting(
        0.0003, "gap between the centred plug and each wall of the socket, m", low=0.0
    )
    start: str = setting(
        "critical",
        "where episodes start: at the critical phase, or home with the approach before it",
        choices=("critical", "home"),
    )
    mode: str = setting(
        "lockstep",
        "lockstep: steps on each command; real_time: steps 50 times a second",
        choices=("lockstep", "real_time"),
    )
    stride: int = setting(2, "ticks between two images", low=1)
    command_timeout_s: float = setting(
        0.1, "real time: silence after which the robot holds its last set-point", low=0.02
    )


class SimulatorNode(FailFastNode):
    """Drives a `World` through topics."""

    def __init__(self) -> None:
        """Build the world and offer the driver's topics and the reset action."""
        super().__init__("simulator")
        settings = declare(self, SimulatorSettings)
        refuse_unknown(self)
        world = make_world(
            settings.task, clearance_m=settings.clearance_m, start=settings.start
        )
        lockstep = settings.mode == "lockstep"
        driver = _Driver(self, world, settings.stride, qos.sensor(lockstep))
        loop = _Lockstep if lockstep else _RealTime
        self._loop = loop(world, driver, settings.command_timeout_s)
        self.create_subscription(
            PoseStamped, "target_pose", self._loop.command, qos.command(lockstep)
        )
        self._reset = ActionServer(self, Reset, "reset", self._on_reset)
        self.create_timer(0.5, self._loop.check)

    def close(self) -> None:
        """Stop the robot's thread."""
        self._loop.close()

    def _on_reset(self, goal: ServerGoalHandle) -> Reset.Result:
        """Reset arm and task, at once; an exception becomes the goal's result."""
        request = goal.request
        goal.publish_feedback(Reset.Feedback(state="placing the arm and the task"))
        try:
            start_tick = self._loop.reset(request.seed, max(1, request.tick_multiple))
        except Exception as error:
            goal.abort()
            late = isinstance(error, TimeoutError)
            return Reset.Result(
                error_code=Reset.Goal.TIMEOUT if late else Reset.Goal.ROBOT_FAULT,
                error_msg=str(error) or repr(error),
            )
        goal.succeed()
        return Reset.Result(error_code=Reset.Goal.NONE, start_tick=start_tick)


class _Driver:
    """Publishes the world's state; reuses one message of each kind at every tick."""

    def __init__(self, node: Node, world: World, stride: int, profile: Any) -> None:
        self._world = world
        self._stride = stride
        self._images = {
            camera: node.create_publisher(Image, f"{camera}/image_raw", profile)
            for camera in world.camera_names
        }
        self._poses = node.create_publisher(PoseStamped, "tcp_pose", profile)
        self._wrenches = node.create_publisher(WrenchStamped, "tcp_wrench", profile)
        self._joints = node.create_publisher(JointState, "joint_states", profile)
        self._tasks = node.create_publisher(TaskState, "task_state", qos.BARRIER)
        self._clocks = node.create_publisher(Clock, "/clock", qos.SENSOR)
        self._pose, self._wrench, self._task = PoseStamped(), WrenchStamped(), TaskState()
        self._pose.header.frame_id = self._wrench.header.frame_id = BASE_FRAME

    def publish(self, tick: int) -> None:
        """Publish everything that belongs to a tick, first what the controller waits for.

        While it answers, the images are rendered: they matter at chunk boundaries only.
        """
        stamp = stamp_of_tick(tick, self._world.rate_hz)
        state = self._world.state()
        self._publish_task(tick)
        self._pose.header.stamp = self._wrench.header.stamp = stamp
        fill_pose_down(self._pose, state.tcp)
        self._poses.publish(self._pose)
        if tick % self._stride == 0:
            for camera, image in self._world.render().items():
                self._images[camera].publish(image_to_msg(image, stamp, f"{camera}_optical"))
        force, torque = self._wrench.wrench.force, self._wrench.wrench.torque
        force.x, force.y, force.z, torque.z = state.wrench.tolist()
        self._wrenches.publish(self._wrench)
        self._publish_joints(stamp, state)
        if self._clocks.get_subscription_count():  # for users: no node here reads it
            self._clocks.publish(Clock(clock=stamp))

    def _publish_task(self, tick: int) -> None:
        judgement = self._world.task_state()
        self._task.tick = tick
        self._task.success = judgement.success
        self._task.failure = judgement.failure
        self._task.critical = judgement.critical
        self._task.depth = judgement.depth_m
        self._task.offset = floats(judgement.offset)
        self._tasks.publish(self._task)

    def _publish_joints(self, stamp: Time, state: RobotState) -> None:
        """Also without subscribers: a controller that starts late waits for those of its tick."""
        joints = JointState(name=state.joint_names)
        joints.header.stamp, joints.header.frame_id = stamp, BASE_FRAME
        joints.position = doubles(state.joint_positions)
        joints.velocity = doubles(state.joint_velocities)
        self._joints.publish(joints)


class _Lockstep:
    """One tick per command; wall time is not used."""

    def __init__(self, world: World, driver: _Driver, command_timeout_s: float) -> None:
        self._world = world
        self._driver = driver
        self._tick = 0

    def command(self, message: PoseStamped) -> None:
        """Execute the command for the current tick; one for another tick does nothing."""
        if tick_of_stamp(message.header.stamp, self._world.rate_hz) != self._tick:
            return
        self._world.step(axes_of_pose(message))
        self._tick += 1
        self._driver.publish(self._tick)

    def reset(self, seed: int, multiple: int) -> int:
        """Start an episode; return its first tick, which was never published before."""
        self._world.reset(seed)
        self._tick = (self._tick // multiple + 1) * multiple
        self._driver.publish(self._tick)
        return self._tick

    def check(self) -> None:
        """Do nothing: no failure can go unseen here."""

    def close(self) -> None:
        """Do nothing: there is no thread."""


class _RealTime:
    """50 ticks a second in its own thread, whatever other nodes do.

    The thread owns the world, since OpenGL contexts belong to threads.
    """

    def __init__(self, world: World, driver: _Driver, command_timeout_s: float) -> None:
        self._world = world
        self._driver = driver
        self._timeout = command_timeout_s
        self._lock = threading.Lock()
        self._setpoint: Array | None = None
        self._commanded = 0.0
        self._seed: int | None = 0
        self._reset_done = threading.Event()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="robot", daemon=True)
        self._thread.start()

    def command(self, message: PoseStamped) -> None:
        """Follow a set-point from the next tick on."""
        with self._lock:
            self._setpoint = axes_of_pose(message)
            self._commanded = time.monotonic()

    def reset(self, seed: int, multiple: int) -> int:
        """Start an episode; the controller owns the ticks, so there is no first one to return."""
        self._reset_done.clear()
        with self._lock:
            self._seed = seed
        if not self._reset_done.wait(RESET_SECONDS):
            self.check()
            raise TimeoutError(f"the simulated robot did not reset within {RESET_SECONDS:g} s")
        return 0

    def check(self) -> None:
        """Raise the exception that ended the thread."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        period = 1.0 / self._world.rate_hz
        tick, due = 0, time.monotonic()
        try:
            while not self._closing.is_set():
                self._tick(tick)
                tick += 1
                # Late ticks are not made up for: no burst follows a stall.
                due = max(due + period, time.monotonic())
                self._closing.wait(due - time.monotonic())
        except Exception as error:
            self._failure = error
        finally:
            self._world.close()

    def _tick(self, tick: int) -> None:
        with self._lock:
            setpoint, age = self._setpoint, time.monotonic() - self._commanded
            seed, self._seed = self._seed, None
            if seed is not None:
                self._setpoint = None
        if seed is not None:
            self._world.reset(seed)
        elif setpoint is not None and age < self._timeout:
            self._world.step(setpoint)
        else:
            self._world.step(self._world.state().setpoint)  # silence: hold the last set-point
        self._driver.publish(tick)
        if seed is not None:
            self._reset_done.set()
