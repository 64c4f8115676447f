"""Realistic cameras: they take fewer images than the robot has ticks and send them late."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image

from rlt_node import qos
from rlt_node.conversions import seconds


class LateCameras:
    """Passes on the images of `<camera>/prompt` as `<camera>/image_raw`, fewer and later.

    Args:
        domain: The graph's ROS domain.
        names: The cameras.
        rate_hz: Images per second of each that are passed on; the others are dropped.
        latency: How late they are sent, s.
    """

    def __init__(
        self, domain: int, names: Iterable[str], rate_hz: float, latency: float
    ) -> None:
        self._period, self._latency = 1.0 / rate_hz, latency
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("cameras", namespace="/rlt", context=self._context)
        self._waiting: deque[tuple[float, str, Image]] = deque()
        self._taken = dict.fromkeys(names, 0.0)  # by the image's stamp, s
        self._publishers = {
            name: self._node.create_publisher(Image, f"{name}/image_raw", qos.SENSOR)
            for name in self._taken
        }
        for name in self._taken:
            self._node.create_subscription(
                Image, f"{name}/prompt", lambda image, name=name: self._take(name, image),
                qos.SENSOR,
            )
        self._thread = threading.Thread(target=self._run, name="cameras", daemon=True)
        self._thread.start()

    @staticmethod
    def remapping(names: Iterable[str]) -> list[str]:
        """Arguments that route the simulator's images here."""
        return [word for name in names for word in ("-r", f"{name}/image_raw:={name}/prompt")]

    def close(self) -> None:
        """End the relay."""
        rclpy.shutdown(context=self._context)
        self._thread.join()

    def _take(self, name: str, image: Image) -> None:
        stamp = seconds(image.header.stamp)
        if stamp < self._taken[name]:  # not due yet
            return
        self._taken[name] = max(self._taken[name] + self._period, stamp - self._period)
        self._waiting.append((time.monotonic() + self._latency, name, image))

    def _run(self) -> None:
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        try:
            while True:
                executor.spin_once(timeout_sec=0.002)
                while self._waiting and self._waiting[0][0] <= time.monotonic():
                    _, name, image = self._waiting.popleft()
                    self._publishers[name].publish(image)
        except ExternalShutdownException:
            self._node.destroy_node()
