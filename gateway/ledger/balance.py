"""One interval at the AC bus: supplies, sinks, residual, carbon of each sink.

See docs/accounting.md sections 9 to 12.  The whole way of an interval is bus_step: discharge
from the opening inventory, mix the supplies, give every sink its share, charge and stand by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.ledger import inventory as inv
from gateway.ledger.attribute import Share, attribute
from gateway.ledger.identities import check_step
from gateway.ledger.inventory import Inventory
from gateway.ledger.supply import Supply, gather

NOT_LOADS = ("battery", "export")
TOLERANCE = 1e-9            # of the supply: below it a negative residual is float noise


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


def bus_step(flows: Flows, opening: Inventory, policy: Policy = DEFAULT_POLICY) -> Step:
    """Account one interval.  Raises Bug when an identity (I1 to I3) does not close to 1e-9."""
    opening = inv.opened(opening)
    supply = gather(flows, opening, policy)
    residual_wh = supply.total_wh - sum(flows.sinks_wh.values())
    share = attribute(flows, supply, residual_wh, policy)
    charged, charge_adjusted_g = _charge(flows, supply, share, policy)
    rested = inv.stand_by(charged.inventory, flows.dt_s)
    step = Step(
        ci_g_per_kwh=supply.g_per_kwh,
        carbon_by_sink_g=share.carbon_by_sink_g,
        origin_by_sink_wh=share.origin_by_sink_wh,
        residual_wh=residual_wh,
        residual_carbon_g=share.residual_carbon_g,
        carbon_primary_g=supply.carbon_primary_g,
        direct_g=supply.direct_g,
        direct_unallocated_g=supply.unallocated_g,
        inventory=rested.inventory,
        mix=supply.mix,
        losses=Losses(charged.loss_wh, supply.loss_wh, rested.loss_wh),
        adjustment=Adjustment(supply.short_wh, supply.short_carbon_g + charge_adjusted_g),
        flags=_flags(flows, supply, residual_wh, share),
    )
    check_step(flows, opening, step)
    return step


def _charge(flows: Flows, supply: Supply, share: Share,
            policy: Policy) -> tuple[inv.Charge, float]:
    """Charge the battery; carbon that is not known comes from the fallback, as adjustment."""
    charge_wh = flows.sinks_wh.get("battery", 0)
    if not charge_wh:
        return inv.Charge(supply.inventory, 0), 0
    carbon_g = share.carbon_by_sink_g["battery"]
    origins = dict(share.origin_by_sink_wh.get("battery", {}))
    lacking_wh = charge_wh - sum(origins.values())
    if lacking_wh > TOLERANCE * charge_wh:
        origins[inv.UNKNOWN] = origins.get(inv.UNKNOWN, 0) + lacking_wh
    if carbon_g is not None:
        return inv.charge(supply.inventory, origins, carbon_g), 0
    if policy.fallback_g_per_kwh is None:
        return inv.charge(supply.inventory, origins, None), 0
    assumed_g = charge_wh * policy.fallback_g_per_kwh / 1000
    return inv.charge(supply.inventory, origins, assumed_g), assumed_g


def _flags(flows: Flows, supply: Supply, residual_wh: float, share: Share) -> tuple[str, ...]:
    found = set(share.unserved)
    if residual_wh < -TOLERANCE * max(supply.total_wh, 1):
        found.add("negative_residual")
    if supply.total_wh == 0 and any(flows.sinks_wh.values()):
        found.add("no_supply")
    if supply.short_wh:
        found.add("inventory_shortfall")
    if supply.unallocated_g:
        found.add("genset_no_output")
    return tuple(sorted(found))
