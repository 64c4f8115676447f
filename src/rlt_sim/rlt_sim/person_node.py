"""The scripted person as a node: watches the simulated task, publishes Joy like a gamepad.

Real time only. Its Joy reaches the robot as any person's does: operator, human_command,
chunk_controller; its labels are the operator's buttons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import WrenchStamped
from rclpy.parameter import parameter_dict_from_yaml_file, parameter_value_to_python
from sensor_msgs.msg import Joy

from rlt_core.records import EpisodeState, Phase
from rlt_core.settings import fit, setting
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_interfaces.msg import TaskState as TaskMessage
from rlt_node import qos
from rlt_node.conversions import episode_from_msg
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.profiles import find_profile
from rlt_sim.person import RATE_HZ, PersonAction, PersonSettings, ScriptedPerson
from rlt_sim.sticks import Sticks
from rlt_sim.world import TaskState, World
from rlt_sim.world.world import Array
from rlt_teleop.device_profile import PARAMETERS, Profile
from rlt_teleop.operator_messages import is_correction


@dataclass(frozen=True)
class DeviceSettings:
    """The person's device."""

    profile: str = setting(
        "xbox", "the operator's profile: a file of config/gamepads without .yaml, or a path",
        path=True,
    )


@dataclass(frozen=True)
class Arm:
    """What the person sees of the robot: its wrench (4,), N and N m."""

    wrench: Array


class PersonNode(FailFastNode):
    """One `ScriptedPerson` per episode; it helps in warm-up and training, and always labels."""

    def __init__(self) -> None:
        """Read the profile and subscribe to the task."""
        super().__init__("person")
        self._settings = declare(self, PersonSettings)
        device = declare(self, DeviceSettings)
        refuse_unknown(self)
        self._sticks = Sticks(read_profile(device.profile), World.axis_names, RATE_HZ)
        self._task: TaskState | None = None
        self._arm: Arm | None = None
        self._episode: EpisodeState | None = None
        self._watched = 0
        self._person: ScriptedPerson | None = None
        self._publisher = self.create_publisher(Joy, "joy", qos.DEVICE)
        self.create_subscription(TaskMessage, "task_state", self._on_task, qos.COMMAND)
        self.create_subscription(WrenchStamped, "tcp_wrench", self._on_wrench, qos.SENSOR)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.LATEST)
        self.create_timer(1.0 / RATE_HZ, self._tick)

    def _on_task(self, message: TaskMessage) -> None:
        offset = np.asarray(message.offset, np.float64)
        self._task = TaskState(
            success=message.success, failure=message.failure, critical=message.critical,
            depth_m=message.depth, offset=offset,
        )

    def _on_wrench(self, message: WrenchStamped) -> None:
        force, torque = message.wrench.force, message.wrench.torque
        self._arm = Arm(np.array([force.x, force.y, force.z, torque.z]))

    def _on_episode(self, message: EpisodeMessage) -> None:
        """Start a new person with every running episode; until then, the last may need a label."""
        episode = episode_from_msg(message)
        if is_correction(self._episode, episode):
            return
        self._episode = episode
        if episode.phase is Phase.RUNNING and episode.episode != self._watched:
            self._watched = episode.episode
            self._person = ScriptedPerson(
                episode.seed, self._settings, intervenes=episode.kind.stored
            )

    def _tick(self) -> None:
        axes, buttons = self._sticks.hold(self._act())
        message = Joy(axes=axes, buttons=buttons)
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = "joy"
        self._publisher.publish(message)

    def _act(self) -> PersonAction:
        """What the person does now; nothing before everything has been seen."""
        if self._person is None or self._episode is None or not self._task or not self._arm:
            return PersonAction(False, np.zeros(4), ())
        running = self._episode.phase is Phase.RUNNING
        approach = running and not self._episode.critical
        return self._person.act(self._task, self._arm, running, approach)


def read_profile(name: str) -> Profile:
    """The operator's profile of this name.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is invalid.
    """
    given = parameter_dict_from_yaml_file(str(find_profile(name)))
    values = {parameter: default for parameter, (default, _) in PARAMETERS.items()}
    for key, each in given.items():
        value = parameter_value_to_python(each.value)
        values[key] = fit(f"parameter {key}", value, values[key]) if key in values else value
    return Profile.from_parameters(values)
