"""Who gets which carbon: proportional mixing (default) or PV first.

See docs/accounting.md section 9.2.  Both policies give the same site totals; only the split
between sinks differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.ledger.flows import inventory as inv
from gateway.ledger.flows.flows import Flows, Policy
from gateway.ledger.flows.supply import EnergySource, Supply

SOURCE_ORDER = ("pv", "battery", "grid", "genset")      # pv_first, then any further source
SINK_ORDER = ("loads", "battery", "export", "residual")


@dataclass(frozen=True)
class Share:
    """Carbon and origins of each sink; unserved: flags of sinks no source was left for."""

    carbon_by_sink_g: Mapping[str, float | None]
    origin_by_sink_wh: Mapping[str, Mapping[str, float]]
    residual_carbon_g: float | None
    unserved: tuple[str, ...] = ()


def attribute(flows: Flows, supply: Supply, residual_wh: float, policy: Policy) -> Share:
    """Return what every sink gets; undefined (None) without supply or with a factor missing."""
    share = RULES[policy.attribution](flows, supply, residual_wh)
    if policy.residual == "spread":
        return _spread(flows, share)
    return share


def _proportional(flows: Flows, supply: Supply, residual_wh: float) -> Share:
    ci, mix = supply.g_per_kwh, supply.mix
    carbon = {sink: None if ci is None else wh * ci / 1000
              for sink, wh in flows.sinks_wh.items()}
    origins = {sink: inv.scaled(mix, wh) for sink, wh in flows.sinks_wh.items() if mix}
    return Share(carbon, origins, None if ci is None else residual_wh * ci / 1000)


def _pv_first(flows: Flows, supply: Supply, residual_wh: float) -> Share:
    """Fill groups of sinks from sources in order; loads share alike inside their group."""
    if supply.total_wh == 0:
        return _proportional(flows, supply, residual_wh)
    loads = flows.loads_wh
    wants = {"loads": sum(loads.values()), "battery": flows.sinks_wh.get("battery", 0),
             "export": flows.sinks_wh.get("export", 0), "residual": max(residual_wh, 0)}
    got = _fill(_ordered(supply.sources), wants)
    carbon: dict[str, float | None] = {}
    origins: dict[str, Mapping[str, float]] = {}
    for sink, wh in flows.sinks_wh.items():
        group = "loads" if sink in loads else sink
        part = wh / wants[group] if wants[group] else 0
        whole = got[group].carbon_g
        carbon[sink] = None if whole is None else whole * part
        origins[sink] = inv.scaled(got[group].origins_wh, part)
    unserved = tuple(
        f"unserved_{sink}" for sink, wh in flows.sinks_wh.items()
        if wh - sum(origins[sink].values()) > 1e-9 * supply.total_wh)
    return Share(carbon, origins, got["residual"].carbon_g, unserved)


def _ordered(sources: Mapping[str, EnergySource]) -> list[EnergySource]:
    names = [name for name in SOURCE_ORDER if name in sources]
    names += [name for name in sources if name not in SOURCE_ORDER]
    return [sources[name] for name in names if sources[name].energy_wh > 0]


def _fill(sources: list[EnergySource], wants: Mapping[str, float]) -> dict[str, EnergySource]:
    """Return what each group gets when sources are used up one after the other."""
    left = [source.energy_wh for source in sources]
    got: dict[str, EnergySource] = {}
    for group in SINK_ORDER:
        filled = EnergySource(0, 0, {})
        for position, source in enumerate(sources):
            wh = min(left[position], wants[group] - filled.energy_wh)
            if wh > 0:
                left[position] -= wh
                filled = _add(filled, source, wh)
        got[group] = filled
    return got


def _add(filled: EnergySource, source: EnergySource, wh: float) -> EnergySource:
    part = wh / source.energy_wh
    origins = dict(filled.origins_wh)
    for origin, of_it_wh in source.origins_wh.items():
        origins[origin] = origins.get(origin, 0) + of_it_wh * part
    carbon_g = (None if filled.carbon_g is None or source.carbon_g is None
                else filled.carbon_g + source.carbon_g * part)
    return EnergySource(filled.energy_wh + wh, carbon_g, origins)


def _spread(flows: Flows, share: Share) -> Share:
    """Move the residual's carbon (signed) onto the loads, by their energy."""
    loads = flows.loads_wh
    total_wh = sum(loads.values())
    rest_g = share.residual_carbon_g
    if total_wh == 0 or rest_g is None:
        return share
    carbon = dict(share.carbon_by_sink_g)
    for load, wh in loads.items():
        own_g = carbon[load]
        carbon[load] = None if own_g is None else own_g + wh / total_wh * rest_g
    return replace(share, carbon_by_sink_g=carbon, residual_carbon_g=0)


RULES: Mapping[str, Callable[[Flows, Supply, float], Share]] = {
    "proportional": _proportional,
    "pv_first": _pv_first,
}
