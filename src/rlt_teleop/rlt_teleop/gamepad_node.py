"""Publishes a game controller as sensor_msgs/Joy, as `joy`'s game_controller_node does."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Joy, JoyFeedback

from rlt_core.settings import setting
from rlt_node import qos
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_teleop.device_choice import Choice
from rlt_teleop.pad import Pad


@dataclass(frozen=True)
class GamepadSettings:
    """Which controller is read, and how."""

    device_name: str = setting("", "name of the controller; empty: any")
    device_id: int = setting(
        0, "which of the attached devices of this name at the start, counted from 0", low=0
    )
    deadzone: float = setting(
        0.05, "part of an axis's way that counts as centre", low=0.0, high=0.9
    )
    rate: float = setting(
        100.0, "messages per second while the controller is attached, Hz", low=20.0, high=500.0
    )


class GamepadNode(FailFastNode):
    """Publishes the controller's state while the controller is attached."""

    def __init__(self) -> None:
        """Start SDL; the controller may be attached later."""
        super().__init__("gamepad")
        settings = declare(self, GamepadSettings)
        refuse_unknown(self)
        self._choice = Choice(settings.device_name, settings.device_id)
        self._pad = Pad(self._choice, settings.deadzone)
        self._told = ""
        self._publisher = self.create_publisher(Joy, "joy", qos.DEVICE)
        self.create_subscription(JoyFeedback, "joy/set_feedback", self._on_feedback, qos.DEVICE)
        self.create_timer(1.0 / settings.rate, self._read)

    def close(self) -> None:
        """Release the controller."""
        self._pad.close()

    def _read(self) -> None:
        state = self._pad.read()
        self._tell(state is not None)
        if state is None:
            return
        message = Joy(axes=state.axes, buttons=state.buttons)
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = str(self._choice.chosen)
        self._publisher.publish(message)

    def _tell(self, there: bool) -> None:
        """Log once which controller is used, or why none is."""
        describe = self._choice.used if there else self._choice.missing
        sentence = describe(self._pad.attached)
        if sentence == self._told:
            return
        self._told = sentence
        if there:
            self.get_logger().info(sentence)
        else:
            self.get_logger().warning(sentence)

    def _on_feedback(self, message: JoyFeedback) -> None:
        """Rumble; like `joy`, ignore any other feedback."""
        if message.type == JoyFeedback.TYPE_RUMBLE and message.id == 0:
            if 0.0 <= message.intensity <= 1.0:
                self._pad.rumble(message.intensity)
