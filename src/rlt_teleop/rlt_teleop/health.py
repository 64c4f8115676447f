"""The health of the operator's device, for `/diagnostics`."""

from __future__ import annotations

from collections.abc import Mapping

from rlt_core.records import Source
from rlt_node.diagnostics import Health, Level


def operator_health(
    fault: str, takeover: bool, source: Source, joy: Mapping[str, float]
) -> Health:
    """What the person can do now.

    Args:
        fault: Why the device cannot be used, empty if it can.
        takeover: Whether the takeover button is held.
        source: Who decided the newest control step.
        joy: Rate of the device's messages, as `rlt_node.rates.Rate.summary` returns it.
    """
    values = {"takeover": takeover, "acting": source.name.lower(), "device_fault": fault, **joy}
    if fault and takeover:
        return Health(Level.ERROR, f"takeover without a usable device: {fault}", values)
    if fault:
        return Health(Level.WARN, f"no takeover is possible now: {fault}", values)
    return Health(Level.OK, "takeover" if takeover else "ready for a takeover", values)
