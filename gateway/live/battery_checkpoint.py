"""What the live books carry over a restart of the process: the battery's content.

Without it a restarted gateway would have to assume the battery full of grid energy again and
the page would contradict the report.  It lies in the status file (memory, not flash), so a
power cut loses it and the opening is assumed as at commissioning.  Computed, never evidence.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.core.reading import ClockState, utc_ms
from gateway.ledger.flows.inventory import Inventory

STATUS_BYTES_MAX = 1_048_576    # of the status file, which holds the checkpoint
KEPT_MS_MAX = 900_000           # a quarter hour: longer absences change a battery too much
ORIGINS_MAX = 32
WH_MAX = 1e9
SUM_WH_MAX = 1e-3             # of rounding


def checkpoint(inventory: Inventory | None, at_utc_ms: int | None) -> dict[str, object] | None:
    """Return what the status file keeps of an inventory; None while it or the time is unknown."""
    if inventory is None or at_utc_ms is None:
        return None
    return {"utc_ms": at_utc_ms, "energy_wh": inventory.energy_wh,
            "carbon_g": inventory.carbon_g, "origins_wh": dict(inventory.origins_wh),
            "assumed": inventory.assumed}


def read(status_file: Path, config: str, clock: ClockState, ticks_ms: int) -> Inventory | None:
    """Return what an earlier run kept; None if it is too old, of another configuration, or not
    sound.  config: hex of the hash of what is configured, which a serial number does not change."""
    now_ms = utc_ms(clock, ticks_ms)
    try:
        status = json.loads(status_file.read_bytes()[:STATUS_BYTES_MAX])
        same = status.get("configured", status["config"]) == config
        kept = status["battery"] if same else None
        if kept is None or now_ms is None or not 0 <= now_ms - kept["utc_ms"] <= KEPT_MS_MAX:
            return None
        return _inventory(kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _inventory(kept: Mapping[str, Any]) -> Inventory:
    """Return the inventory; raises ValueError or TypeError for numbers that cannot be."""
    origins = {str(name): _number(wh) for name, wh in kept["origins_wh"].items()}
    energy_wh = _number(kept["energy_wh"])
    if len(origins) > ORIGINS_MAX or abs(sum(origins.values()) - energy_wh) > SUM_WH_MAX:
        raise ValueError("origins do not sum to the energy")
    carbon_g = None if kept["carbon_g"] is None else _number(kept["carbon_g"])
    return Inventory(energy_wh, carbon_g, origins, assumed=bool(kept["assumed"]))


def _number(value: float) -> float:
    number = float(value)
    if not 0 <= number <= WH_MAX:               # not true of nan either
        raise ValueError(f"{value} is not within 0 .. {WH_MAX:g}")
    return number
