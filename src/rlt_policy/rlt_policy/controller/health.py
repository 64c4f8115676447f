"""The chunk controller's health, for ROS diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from rlt_core.control.control_loop import ControlHealth
from rlt_core.control.takeover import ControlAuthority
from rlt_node.diagnostics import Health, Level

MILLI = 1e3
# The topic or device behind a fault; any other fault is in the robot's state.
SOURCES = {
    "restart": "episode_state", "leader": "episode_state", "rival": "robot command",
    "unheard": "robot command", "still": "robot",
    "silent": "action_chunk", "trip": "action_chunk",
    "operator": "human_command", "device": "human_command", "silence": "human_command",
    "held": "human_command", "operators": "operator nodes",
    "stall": "computer", "overrun": "computer",
}
DOING = {
    ControlAuthority.POLICY: "the policy drives",
    ControlAuthority.HUMAN: "a person drives",
}


def source_of(code: str, heard: Mapping[str, float]) -> str:
    """Name the source of a fault.

    Args:
        code: The fault's code.
        heard: When the robot was last received, by topic; the oldest makes a state stale.
    """
    if code == "stale":
        return min(heard, key=heard.__getitem__)
    return SOURCES.get(code, "robot state")


def controller_health(control: ControlHealth, rate: dict[str, float], state_age: float) -> Health:
    """List the control loop's figures under names that carry their unit.

    Args:
        control: The control loop's figures.
        rate: Rate of control steps, as `rlt_node.rates.Rate.summary` returns it.
        state_age: Age of the newest robot state, s; inf before the first.
    """
    fault, late = control.fault, control.lateness
    values: dict[str, object] = {
        "takeover": control.takeover.value,
        "hold": fault.code if fault else "",
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
    if fault is not None:
        return Health(Level.ERROR, f"holding: {fault.message}", values)
    return Health(Level.OK, DOING.get(control.takeover, "holding"), values)
