"""A real managed node with a bit of everything, for the commands and launches under test."""

import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool


class Probe(LifecycleNode):
    def __init__(self):
        super().__init__("probe")
        self.declare_parameter(
            "gain",
            0.5,
            ParameterDescriptor(
                description="a gain without unit",
                floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)],
            ),
        )
        for name, default in (("label", "none"), ("count", 0), ("flag", False), ("sizes", [0])):
            self.declare_parameter(name, default)
        self.declare_parameter("nested.depth", 0.0)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.greeting = self.create_publisher(String, "greeting", latched)
        self.greeting.publish(String(data="hello"))
        self.signal = self.create_publisher(Float64MultiArray, "signal", qos_profile_sensor_data)
        self.create_timer(0.02, self.publish_signal)
        self.create_subscription(String, "words", self.hear, 10)
        self.create_service(SetBool, "switch", self.switch)

    def publish_signal(self):
        self.signal.publish(Float64MultiArray(data=[1.5] * 200))

    def hear(self, message):
        print(f"heard {message.data}", flush=True)

    def switch(self, request, response):
        response.success, response.message = request.data, f"switched {request.data}"
        return response

    def on_activate(self, state):
        return TransitionCallbackReturn.FAILURE  # for the command that reports it


def main():
    rclpy.init()
    node = Probe()
    print(
        "parameters",
        {
            name: node.get_parameter(name).value
            if name != "sizes"
            else list(node.get_parameter(name).value)
            for name in ("gain", "label", "count", "flag", "sizes", "nested.depth")
        },
        flush=True,
    )
    print("topic", node.resolve_topic_name("words"), flush=True)
    print("node", node.get_fully_qualified_name(), flush=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


main()
