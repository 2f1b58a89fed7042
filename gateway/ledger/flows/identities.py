"""The identities that must close in every interval and period; a breach is a Bug.

(I1) G + P + D + adj_E = loads + X + R + losses + dE
(I2) C_primary + adj_C = C_loads + C_export + C_residual + C_unallocated + dC
(I3) origins of a sink sum to the sink, origins of the inventory to its energy; none negative.
See docs/accounting.md section 13.  Checked in production, not only in tests.
"""

from __future__ import annotations

from math import isfinite

from gateway.core.errors import Bug
from gateway.ledger.flows.flows import Flows, Step
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.flows.supply import total_or_none

RELATIVE_MAX = 1e-9


def check_step(flows: Flows, opening: Inventory, step: Step) -> None:
    """Raise Bug with both sides if I1, I2 or I3 is broken in this interval."""
    left, right = energy_sides(flows, opening, step)
    require("I1 energy", left, right, _scale(flows))
    carbon = carbon_sides(flows, opening, step)
    if carbon is not None:
        require("I2 carbon", *carbon, _carbon_scale(opening, carbon))
    _check_origins(flows, step)


def energy_sides(flows: Flows, opening: Inventory, step: Step) -> tuple[float, float]:
    """Return both sides of I1 in Wh."""
    came = sum(wh for name, wh in flows.supply_wh.items() if name != "battery")
    went = sum(wh for name, wh in flows.sinks_wh.items() if name != "battery")
    stored = step.inventory.energy_wh - opening.energy_wh
    return (came + step.adjustment.energy_wh,
            went + step.residual_wh + step.losses.total_wh + stored)


def carbon_sides(flows: Flows, opening: Inventory, step: Step) -> tuple[float, float] | None:
    """Return both sides of I2 in g, or None when carbon is undefined in the interval."""
    sinks = [g for name, g in step.carbon_by_sink_g.items() if name != "battery"]
    went = total_or_none([*sinks, step.residual_carbon_g])
    before, after = opening.carbon_g, step.inventory.carbon_g
    if went is None or step.carbon_primary_g is None or before is None or after is None:
        return None
    return (step.carbon_primary_g + step.adjustment.carbon_g,
            went + step.direct_unallocated_g + after - before)


def require(name: str, left: float, right: float, scale: float) -> None:
    """Raise Bug if two sides differ by more than 1e-9 of scale (their natural size), or if any
    of the three is no finite number: no comparison with nan is ever true."""
    if not (isfinite(left) and isfinite(right) and isfinite(scale)):
        raise Bug(f"identity {name} has no finite sides: {float(left)!r} against "
                  f"{float(right)!r} in {float(scale)!r}")
    if abs(left - right) > RELATIVE_MAX * max(scale, 1):
        raise Bug(f"identity {name} is broken: {float(left)!r} against {float(right)!r}")


def _check_origins(flows: Flows, step: Step) -> None:
    scale = _scale(flows)
    served = not any(flag.startswith("unserved_") for flag in step.flags)
    for sink, origins in step.origin_by_sink_wh.items():
        if served:
            require(f"I3 origins of {sink}", sum(origins.values()), flows.sinks_wh[sink], scale)
    held = step.inventory
    scale = max(scale, held.energy_wh)
    require("I3 origins of the battery", sum(held.origins_wh.values()), held.energy_wh, scale)
    require("I3 carbon of the battery", held.carbon_g or 0, held.carbon_g or 0, scale)
    low = min([held.energy_wh, held.carbon_g or 0, *held.origins_wh.values()])
    require("I3 nothing below zero", min(low, 0), 0, scale)


def _scale(flows: Flows) -> float:
    return sum(flows.supply_wh.values()) + sum(flows.sinks_wh.values())


def _carbon_scale(opening: Inventory, sides: tuple[float, float]) -> float:
    return abs(sides[0]) + abs(sides[1]) + (opening.carbon_g or 0)
