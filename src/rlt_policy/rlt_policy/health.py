"""How the chunk controller is, in the words of ROS's diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from rlt_core.control import ControlHealth
from rlt_core.takeover import Grip
from rlt_node.diagnostics import Health, Level

MILLI = 1e3
# The topic, or what else, is behind a trouble; any other trouble is in what the robot says.
SOURCES = {
    "restart": "episode_state", "leader": "episode_state", "rival": "robot command",
    "unheard": "robot command", "still": "robot",
    "silent": "action_chunk", "trip": "action_chunk",
    "operator": "human_command", "device": "human_command", "silence": "human_command",
    "held": "human_command",
    "stall": "computer", "overrun": "computer",
}
DOING = {
    Grip.POLICY: "the policy has the robot",
    Grip.HUMAN: "a person has the robot",
}


def source_of(code: str, heard: Mapping[str, float]) -> str:
    """Name what a trouble comes from.

    Args:
        code: The trouble's code.
        heard: When the robot was last heard, by topic: of a stale state the oldest is the cause.
    """
    if code == "stale":
        return min(heard, key=heard.__getitem__)
    return SOURCES.get(code, "robot state")


def controller_health(control: ControlHealth, rate: dict[str, float], state_age: float) -> Health:
    """Put the control loop's figures under names that carry their unit.

    Args:
        control: The control loop's own account.
        rate: Rate of control steps, as `rlt_core.rates.Rate.summary` has it.
        state_age: Age of the newest robot state, s; inf before the first.
    """
    trouble, late = control.trouble, control.lateness
    values: dict[str, object] = {
        "takeover": control.takeover.value,
        "hold": trouble.code if trouble else "",
        "robot_state_age_ms": MILLI * state_age,
        "underruns": control.underruns,
        "stretched_ticks": control.stretched,
        "rejections": sum(control.rejections.values()),
        "clamped_ticks": sum(control.limited.values()),
        "lateness_ms_mean": MILLI * late.mean,
        "lateness_ms_p99": MILLI * late.p99,
        "lateness_ms_max": MILLI * late.max,
        "lost_ticks": late.lost_ticks,
        **rate,
    }
    for what, counts in (
        ("rejected", control.rejections), ("clamped", control.limited), ("held", control.holds),
    ):
        values |= {f"{what}.{name}": count for name, count in sorted(counts.items())}
    if trouble is not None:
        return Health(Level.ERROR, f"holding: {trouble.message}", values)
    return Health(Level.OK, DOING.get(control.takeover, "holding"), values)
