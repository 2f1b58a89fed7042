"""One interval at the AC bus: supplies, sinks, residual, carbon of each sink.

See docs/accounting.md sections 9 to 12.  The whole way of an interval is bus_step: discharge
from the opening inventory, mix the supplies, give every sink its share, charge and stand by.
"""

from __future__ import annotations

from gateway.ledger.flows import inventory as inv
from gateway.ledger.flows.attribute import Share, attribute
from gateway.ledger.flows.flows import DEFAULT_POLICY, Adjustment, Flows, Losses, Policy, Step
from gateway.ledger.flows.identities import check_step
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.flows.supply import Supply, gather

TOLERANCE = 1e-9            # of the supply: below it a negative residual is float noise


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
