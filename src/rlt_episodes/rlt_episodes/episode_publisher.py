"""Publishes `episode_state` and its heartbeat, as the only publisher."""

from __future__ import annotations

import time
from collections.abc import Callable

from rlt_core.records import EpisodeState
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import episode_to_msg, stamp_of_tick
from rlt_node.node import FailFastNode
from rlt_node.other_publishers import OtherPublishers
from rlt_node.process import NodeError

BEAT_SECONDS = 0.1
LOOKOUT_SECONDS = 1.0  # Fast DDS announces itself five times within the first half


class EpisodePublisher:
    """Publishes the states of the episodes, once it is known that no other node does.

    A state of another run would make the recorder, the policy and the controller of an existing
    graph follow that run. So nothing is published before the lookout has ended; then the newest
    state is. The lookout ends once the nodes that follow the states have published: they are
    discovered no sooner than other publishers of the states.

    In real time the newest state is repeated as `episode_heartbeat`: the controller holds without
    it. In lockstep the robot waits for every state anyway.

    Attributes:
        sure: Whether the lookout has ended.
    """

    def __init__(
        self,
        node: FailFastNode,
        first: EpisodeState,
        heard: Callable[[], bool],
        rate_hz: float,
        lockstep: bool,
    ) -> None:
        """Start the lookout.

        Args:
            node: The episodes node.
            first: The state to begin with.
            heard: Whether the nodes that follow the states have published.
            rate_hz: Control ticks a second.
            lockstep: Whether stamps are tick times, and nothing is repeated.
        """
        self.sure = False
        self._node, self._heard = node, heard
        self._rate_hz, self._lockstep = rate_hz, lockstep
        self._newest = self._message(first)
        self._states = node.create_publisher(EpisodeMessage, "episode_state", qos.BARRIER)
        self._rivals = OtherPublishers(
            node, (node.resolve_topic_name("episode_state"),),
            "give this run its own namespace (namespace:=...): two runs in one namespace would be "
            "recorded as one",
        )
        self._sure_at = time.monotonic() + LOOKOUT_SECONDS
        self._lookout = node.create_timer(BEAT_SECONDS, self._look_out)

    def publish(self, state: EpisodeState) -> None:
        """Publish a state: now, or at the end of the lookout."""
        self._newest = self._message(state)
        if self.sure:
            self._states.publish(self._newest)

    def _message(self, state: EpisodeState) -> EpisodeMessage:
        message = episode_to_msg(state)
        message.header.stamp = (
            stamp_of_tick(state.tick, self._rate_hz)
            if self._lockstep
            else self._node.get_clock().now().to_msg()
        )
        return message

    def _look_out(self) -> None:
        """Look for other publishers, and start to publish once there are surely none.

        Raises:
            NodeError: If another node already publishes the states.
        """
        rival = self._rivals.look()
        if rival is not None:
            raise NodeError(rival.message)
        if time.monotonic() < self._sure_at or not self._heard():
            return
        self.sure = True
        self._node.destroy_timer(self._lookout)
        self._states.publish(self._newest)
        if not self._lockstep:
            beats = self._node.create_publisher(EpisodeMessage, "episode_heartbeat", qos.COMMAND)
            self._node.create_timer(BEAT_SECONDS, lambda: beats.publish(self._newest))
