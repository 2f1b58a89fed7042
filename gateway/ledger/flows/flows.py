"""The values of one interval: what was metered, by which policy it is booked, what came out.

Energies in Wh at the AC bus, factors in g/kWh, carbon in g.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.roles import NOT_LOADS
from gateway.ledger.flows.inventory import Inventory


@dataclass(frozen=True)
class Flows:
    """Metered energy of one interval in Wh, and the factors that hold in it.

    supply: grid, pv, genset, battery (discharge) or further sources.  sinks: loads by name,
    battery (charge), export.  factors_g_per_kwh: by source, None or absent = undefined.
    genset_carbon_g: from fuel; replaces the genset's factor.  grid_renewable_share: splits the
    origin grid into grid_res and grid_other."""

    supply_wh: Mapping[str, float]
    sinks_wh: Mapping[str, float]
    factors_g_per_kwh: Mapping[str, float | None]
    genset_carbon_g: float | None = None
    grid_renewable_share: float | None = None
    dt_s: float = 900

    @property
    def loads_wh(self) -> dict[str, float]:
        """The sinks that are loads of the site."""
        return {name: wh for name, wh in self.sinks_wh.items() if name not in NOT_LOADS}


@dataclass(frozen=True)
class Policy:
    """Switches that a report must print.  attribution: "proportional" or "pv_first".
    residual: "report" or "spread".  fallback_g_per_kwh: for battery energy whose carbon is not
    known any other way; it is booked as an adjustment."""

    attribution: str = "proportional"
    residual: str = "report"
    fallback_g_per_kwh: float | None = None


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Losses:
    """Energy the battery lost in an interval, Wh."""

    charge_wh: float = 0
    discharge_wh: float = 0
    standby_wh: float = 0

    @property
    def total_wh(self) -> float:
        """All three together."""
        return self.charge_wh + self.discharge_wh + self.standby_wh


@dataclass(frozen=True)
class Adjustment:
    """What was booked without a measurement: never silently."""

    energy_wh: float = 0
    carbon_g: float = 0


@dataclass(frozen=True)
class Step:
    """The books of one interval.  Carbon values are None where undefined.

    mix: share of each origin in the supply.  carbon_primary_g: caused in this interval (grid,
    fuel, PV), unallocated fuel included; direct_g: the fuel part of it."""

    ci_g_per_kwh: float | None
    carbon_by_sink_g: Mapping[str, float | None]
    origin_by_sink_wh: Mapping[str, Mapping[str, float]]
    residual_wh: float
    residual_carbon_g: float | None
    carbon_primary_g: float | None
    direct_g: float | None
    direct_unallocated_g: float
    inventory: Inventory
    mix: Mapping[str, float] = field(default_factory=dict)
    losses: Losses = Losses()
    adjustment: Adjustment = Adjustment()
    flags: tuple[str, ...] = ()
