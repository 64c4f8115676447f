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
LATEST = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)

# Messages that a node waits for. In lockstep at most a chunk's ticks are in flight, so none is
# overwritten. A subscriber that is discovered late still gets them: any start order works.
BARRIER = _reliable(50, DurabilityPolicy.TRANSIENT_LOCAL)

# Messages to record or train on; no node waits for them within an episode. A stalled reader loses
# one only after 20 s of control ticks, or 40 s of transitions.
LOG = _reliable(1000, DurabilityPolicy.TRANSIENT_LOCAL)

# Commands to a robot: only the newest matters.
COMMAND = _reliable(1, DurabilityPolicy.VOLATILE)

# A person's input device, with the profile of ROS's own joy package.
DEVICE = _reliable(10, DurabilityPolicy.VOLATILE)

# Sensors in real time: a best-effort reader matches every driver.
SENSOR = qos_profile_sensor_data
# The same for a driver that must resend what is lost: it must publish reliably, too.
RELIABLE_SENSOR = _reliable(5, DurabilityPolicy.VOLATILE)


def sensor(lockstep: bool) -> QoSProfile:
    """Profile of images and robot state."""
    return BARRIER if lockstep else SENSOR


def command(lockstep: bool) -> QoSProfile:
    """Profile of the robot's set-points."""
    return BARRIER if lockstep else COMMAND
