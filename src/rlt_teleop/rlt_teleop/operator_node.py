"""Maps a person's device to human commands and requests; only here do controls get a meaning."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from sensor_msgs.msg import Joy, JoyFeedback

from rlt_core.records import EpisodeState, Source
from rlt_interfaces.msg import ControlStep, HumanCommand, LearnerStatus
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import episode_from_msg, floats
from rlt_node.diagnostics import Diagnostics, Health
from rlt_node.graph import GraphSettings
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, declare_one, refuse_unknown
from rlt_node.publishers import several_publishers
from rlt_node.rates import Rate
from rlt_teleop.debounce import Buttons
from rlt_teleop.device_check import change_lines, table_lines
from rlt_teleop.device_profile import PARAMETERS, Profile
from rlt_teleop.health import operator_health
from rlt_teleop.joy_watch import JoySettings, JoyWatch
from rlt_teleop.operator_messages import episode_line, is_correction, takeover_line
from rlt_teleop.requests import Answer, Requests
from rlt_teleop.rumble import Rumble

CHECK_HZ = 10.0
START_S = 5.0
"""How long the device may take to appear before a fault is logged."""


class OperatorNode(FailFastNode):
    """Publishes the person's command at every tick, and at once when the takeover changes."""

    def __init__(self) -> None:
        """Read profile and contract, and wait for the device."""
        super().__init__("operator")
        self._contract = declare(self, GraphSettings).contract()
        settings = declare(self, JoySettings)
        self._profile = declare_profile(self)
        refuse_unknown(self)
        warn_of_no_motion(self, self._profile, self._contract.action.names)
        self._hash = self._contract.hash()
        self._watch = JoyWatch(self._profile, settings, self.resolve_topic_name("joy"))
        self._buttons = Buttons(settings.debounce_s)
        self._rumble = Rumble()
        self._joy = Rate()
        self._fault: str | None = None
        self._patient_until = time.monotonic() + START_S
        self._held = False
        self._sequence = 0
        self._episode: EpisodeState | None = None
        self._learning = True
        self._source = Source.UNKNOWN
        self._commands = self.create_publisher(HumanCommand, "human_command", qos.COMMAND)
        self._feedback = self.create_publisher(JoyFeedback, "joy/set_feedback", qos.DEVICE)
        self._requests = Requests(self, self._on_answer)
        self.create_subscription(Joy, "joy", self._on_joy, qos.SENSOR)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.LATEST)
        self.create_subscription(LearnerStatus, "learner_status", self._on_learner, qos.LATEST)
        self.create_subscription(ControlStep, "control_step", self._on_step, qos.COMMAND)
        self.create_timer(self._contract.dt, self._tick)
        Diagnostics(self, self._health)

    # ---- The device ---------------------------------------------------------------------------

    def _on_joy(self, message: Joy) -> None:
        now = time.monotonic()
        self._joy.count(now)
        if self._watch.take(message.header.frame_id, message.axes, message.buttons, now):
            self._buttons.reset()
        fault = self._watch.fault(now)
        if self._watch.buttons:
            self._press(fault, now)
        if self._watch.held != self._held:
            self._publish(fault)

    def _press(self, fault: str, now: float) -> None:
        """Send the requests of the buttons that were pressed."""
        buttons = self._watch.buttons
        down = {name: bool(buttons[index]) for name, index in self._profile.functions.items()}
        for press in self._buttons.update(down, now):
            if press.rejection or fault:
                self._on_answer(Answer(press.function, False, press.rejection or fault))
            else:
                self._requests.ask(press.function, **self._fields(press.function))

    def _fields(self, function: str) -> dict[str, Any]:
        """The fields of a function's request in the current state."""
        if function in ("success", "failure"):
            return {"success": function == "success"}
        if function == "handover":
            return {"to_actor": self._episode is None or self._episode.acting is Source.BASE}
        if function == "abort":
            return {"reason": "the operator's button"}
        if function == "pause":
            return {"pause": self._learning}
        return {}

    def _tick(self) -> None:
        now = time.monotonic()
        self._watch.shared(several_publishers(self, "joy"), now)
        fault = self._watch.fault(now)
        if not fault or now > self._patient_until:
            self._note(fault)
        self._publish(fault)
        self._requests.check()
        intensity = self._rumble.due(now)
        if intensity is not None:
            self._feedback.publish(
                JoyFeedback(type=JoyFeedback.TYPE_RUMBLE, id=0, intensity=intensity)
            )

    def _note(self, fault: str) -> None:
        """Log each fault of the device once; the first one in a takeover the controller logs."""
        if fault == self._fault:
            return
        if not fault:
            self.get_logger().info(
                f"the device is ready (profile {self._profile.name}): {self._watch.device}"
            )
        elif not self._held or self._fault:
            self.get_logger().warning(f"no takeover is possible now: {fault}")
        self._fault = fault

    def _publish(self, fault: str) -> None:
        """Publish what the person commands now; with a fault, nothing moves."""
        watch, names = self._watch, self._contract.action.names
        self._held = watch.held
        self._sequence += 1
        command = HumanCommand(
            sequence=self._sequence, takeover=self._held, fault=fault,
            axis_names=names, contract_hash=self._hash,
        )
        command.header.stamp = self.get_clock().now().to_msg()
        if fault:
            command.increment = [0.0] * len(names)
        else:
            command.increment = floats(
                self._profile.increment(watch.axes, watch.buttons, names, self._contract.dt)
            )
        self._commands.publish(command)

    # ---- What is shown to the person ----------------------------------------------------------

    def _on_answer(self, answer: Answer) -> None:
        if answer.applied:
            self.get_logger().info(f"{answer.function}: {answer.message}")
        else:
            self.get_logger().warning(f"{answer.function} refused: {answer.message}")
        self._rumble.answer(answer.applied, time.monotonic())

    def _on_episode(self, message: EpisodeMessage) -> None:
        before, state = self._episode, episode_from_msg(message)
        if is_correction(before, state):
            return
        self._episode = state
        line = episode_line(before, state)
        if line:
            self.get_logger().info(line)

    def _on_learner(self, message: LearnerStatus) -> None:
        self._learning = message.learning

    def _on_step(self, message: ControlStep) -> None:
        before, self._source = self._source, Source(message.source)
        line = takeover_line(before, self._source)
        if line:
            self.get_logger().info(line)

    def _health(self) -> Health:
        now = time.monotonic()
        fault = self._watch.fault(now)
        return operator_health(fault, self._held, self._source, self._joy.summary("joy", now))


class OperatorCheck(FailFastNode):
    """Shows every axis and button live with its meaning; commands nothing."""

    def __init__(self) -> None:
        """Read the profile and wait for the device."""
        super().__init__("operator_check")
        graph = declare(self, GraphSettings, only=("model",))
        settings = declare(self, JoySettings)
        self._profile = declare_profile(self)
        self._names: tuple[str, ...] = ()
        if graph.model:
            self._names = graph.contract().action.names
            warn_of_no_motion(self, self._profile, self._names)
        self._watch = JoyWatch(self._profile, settings, self.resolve_topic_name("joy"))
        self._device: tuple[tuple[float, ...], tuple[int, ...]] = ((), ())
        self._shown: list[str] = []
        self._in_place = sys.stdout.isatty()
        self.create_subscription(Joy, "joy", self._on_joy, qos.SENSOR)
        self.create_timer(1.0 / CHECK_HZ, self._show)

    def _on_joy(self, message: Joy) -> None:
        before, self._device = self._device, (tuple(message.axes), tuple(message.buttons))
        self._watch.take(
            message.header.frame_id, message.axes, message.buttons, time.monotonic()
        )
        if not self._in_place:
            for line in change_lines(self._profile, before, self._device):
                print(line, flush=True)

    def _show(self) -> None:
        """Redraw the table in place; without a terminal, print only the fault."""
        now = time.monotonic()
        self._watch.shared(several_publishers(self, "joy"), now)
        fault = self._watch.fault(now)
        if self._in_place:
            width = shutil.get_terminal_size().columns
            lines = table_lines(self._profile, *self._device, self._names, fault, width)
        else:
            lines = [fault or "the device is ready"]
        if lines == self._shown:
            return
        up = f"\x1b[{len(self._shown)}A\r\x1b[J" if self._in_place and self._shown else ""
        print(up + "\n".join(lines), flush=True)
        self._shown = lines


def warn_of_no_motion(node: Node, profile: Profile, names: Sequence[str]) -> None:
    """Warn once that a takeover only stops the robot, if no control moves one of these axes."""
    reason = profile.no_motion(names)
    if reason:
        node.get_logger().warning(reason)


def declare_profile(node: Node) -> Profile:
    """Declare a profile's parameters, which a file of config/gamepads sets, and read them.

    Raises:
        ValueError: If the profile is invalid, or a value has the wrong type.
    """
    values = {
        name: declare_one(
            node, name, default, ParameterDescriptor(description=description, read_only=True)
        )
        for name, (default, description) in PARAMETERS.items()
    }
    return Profile.from_parameters(values)
