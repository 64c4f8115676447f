"""The quality-of-service profiles of the suite, by purpose."""

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)


def _reliable(depth: int, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=durability,
    )


# State that late joiners need: weights, status, policy info.
LATCHED = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)

# What somebody waits for. In lockstep at most a chunk's ticks are in flight, so nothing is ever
# overwritten; and a subscriber that is discovered late still gets them: no start-up order matters.
BARRIER = _reliable(50, DurabilityPolicy.TRANSIENT_LOCAL)

# What is recorded or learnt from, where nobody waits within an episode: 20 s of control ticks, or
# 40 s of transitions, before a stalled reader loses one.
LOG = _reliable(1000, DurabilityPolicy.TRANSIENT_LOCAL)

# Commands to a robot: the newest counts, an old one is worth nothing.
COMMAND = _reliable(1, DurabilityPolicy.VOLATILE)

# A person's input device, as ROS's own joy package offers it.
DEVICE = _reliable(10, DurabilityPolicy.VOLATILE)

# Sensors in real time: a best-effort reader matches every driver.
SENSOR = qos_profile_sensor_data


def sensor(lockstep: bool) -> QoSProfile:
    """Profile of images and robot state."""
    return BARRIER if lockstep else SENSOR


def command(lockstep: bool) -> QoSProfile:
    """Profile of the robot's set-points."""
    return BARRIER if lockstep else COMMAND
