"""The battery's carbon inventory: a weighted average that losses never shrink.

See docs/accounting.md section 10.  Energy leaves by discharge, is lost by efficiency and
standby; the carbon of lost energy stays with the energy that is delivered later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Inventory:
    """What a battery holds.  energy_wh and origins_wh (summing to it): stored, before losses
    of discharge.  carbon_g None: undefined.  eta_*: one-way efficiencies in 0..1.  assumed:
    True while it still rests on an assumed opening."""

    energy_wh: float = 0
    carbon_g: float | None = 0
    origins_wh: Mapping[str, float] = field(default_factory=dict)
    eta_charge: float = 1
    eta_discharge: float = 1
    standby_w: float = 0
    assumed: bool = False

    @property
    def g_per_kwh(self) -> float | None:
        """Grams per stored kWh; None when empty or undefined."""
        if self.carbon_g is None or self.energy_wh <= 0:
            return None
        return self.carbon_g * 1000 / self.energy_wh


@dataclass(frozen=True)
class Delivery:
    """One discharge: what reached the bus out of the inventory, and what it could not cover.

    short_wh: bus energy the inventory did not hold; its carbon is the caller's to find."""

    inventory: Inventory
    carbon_g: float | None
    origins_wh: Mapping[str, float]
    loss_wh: float
    short_wh: float


@dataclass(frozen=True)
class Charge:
    """One charge: the inventory after it and the energy lost on the way in."""

    inventory: Inventory
    loss_wh: float


def scaled(origins_wh: Mapping[str, float], factor: float) -> dict[str, float]:
    """Return the origins, each times factor."""
    return {origin: wh * factor for origin, wh in origins_wh.items()}


def opened(inventory: Inventory) -> Inventory:
    """Return the inventory with energy of no stated origin booked as origin "unknown"."""
    rest = inventory.energy_wh - sum(inventory.origins_wh.values())
    if inventory.origins_wh or not rest:
        return inventory
    return replace(inventory, origins_wh={UNKNOWN: rest})


def discharge(inventory: Inventory, bus_wh: float) -> Delivery:
    """Take bus_wh at the AC bus out of the opening inventory; a shortfall empties it."""
    need_wh = bus_wh / inventory.eta_discharge
    held_wh = inventory.energy_wh
    if need_wh <= 0:
        return Delivery(inventory, 0, {}, 0, 0)
    short = need_wh - held_wh > held_wh / 10**12       # less is float noise
    taken_wh = min(need_wh, held_wh)
    share = taken_wh / held_wh if held_wh > 0 else 0
    delivered_wh = taken_wh * inventory.eta_discharge
    carbon = None if inventory.carbon_g is None else inventory.carbon_g * share
    after = replace(
        inventory, energy_wh=held_wh - taken_wh,
        carbon_g=None if inventory.carbon_g is None or carbon is None
        else inventory.carbon_g - carbon,
        origins_wh=scaled(inventory.origins_wh, 1 - share))
    return Delivery(after, carbon, scaled(inventory.origins_wh, share * inventory.eta_discharge),
                    taken_wh - delivered_wh, bus_wh - delivered_wh if short else 0)


def charge(inventory: Inventory, origins_wh: Mapping[str, float],
           carbon_g: float | None) -> Charge:
    """Put bus energy of the given origins and carbon into the inventory."""
    stored = scaled(origins_wh, inventory.eta_charge)
    origins = dict(inventory.origins_wh)
    for origin, wh in stored.items():
        origins[origin] = origins.get(origin, 0) + wh
    carbon = (None if carbon_g is None or inventory.carbon_g is None
              else inventory.carbon_g + carbon_g)
    bus_wh, stored_wh = sum(origins_wh.values()), sum(stored.values())
    after = replace(inventory, energy_wh=inventory.energy_wh + stored_wh, carbon_g=carbon,
                    origins_wh=origins)
    return Charge(after, bus_wh - stored_wh)


def stand_by(inventory: Inventory, dt_s: float) -> Charge:
    """Lose the standby power's energy over dt_s; carbon stays and is concentrated."""
    loss_wh = min(inventory.energy_wh, inventory.standby_w * dt_s / 3600)
    if loss_wh <= 0:
        return Charge(inventory, 0)
    left_wh = inventory.energy_wh - loss_wh
    origins = scaled(inventory.origins_wh, left_wh / inventory.energy_wh)
    return Charge(replace(inventory, energy_wh=left_wh, origins_wh=origins), loss_wh)


def anchor_to_soc(inventory: Inventory, measured_wh: float) -> tuple[Inventory, float]:
    """Set stored energy to the BMS value at full or empty; return it and the adjustment in Wh.

    Carbon is kept, origins are scaled; the adjustment belongs into its own report line."""
    held_wh = inventory.energy_wh
    booked_wh = sum(inventory.origins_wh.values())
    # What is left of an emptied inventory is float noise: blown up, it would tell an origin.
    known = booked_wh > 0 and booked_wh * 10**9 > measured_wh
    origins = (scaled(inventory.origins_wh, measured_wh / booked_wh) if known
               else {UNKNOWN: measured_wh})
    return replace(inventory, energy_wh=measured_wh, origins_wh=origins), measured_wh - held_wh
