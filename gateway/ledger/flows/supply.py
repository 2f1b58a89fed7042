"""What feeds the bus in one interval: sources with their carbon and origins.

See docs/accounting.md sections 9 to 11.  Sources are grid, PV, genset and the battery's
discharge, the latter out of its inventory, a shortfall from the interval's own non-battery mix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.ledger.flows import inventory as inv
from gateway.ledger.flows.flows import Flows, Policy
from gateway.ledger.flows.inventory import Inventory


@dataclass(frozen=True)
class EnergySource:
    """One source's energy at the bus, its carbon (None: undefined) and its origins."""

    energy_wh: float
    carbon_g: float | None
    origins_wh: Mapping[str, float]


@dataclass(frozen=True)
class Supply:
    """All sources of an interval, the inventory after the discharge, and what was adjusted."""

    sources: Mapping[str, EnergySource]
    inventory: Inventory
    carbon_primary_g: float | None
    direct_g: float | None
    unallocated_g: float
    loss_wh: float
    short_wh: float
    short_carbon_g: float

    @property
    def total_wh(self) -> float:
        """S of docs/accounting.md section 9.1: all energy that came to the bus."""
        return sum(source.energy_wh for source in self.sources.values())

    @property
    def carbon_g(self) -> float | None:
        """Carbon on the bus; None if any source that delivered has none defined."""
        return total_or_none([source.carbon_g for source in self.sources.values()])

    @property
    def g_per_kwh(self) -> float | None:
        """Carbon intensity of the bus; None without supply or with an undefined source."""
        carbon_g = self.carbon_g
        if self.total_wh == 0 or carbon_g is None:
            return None
        return carbon_g * 1000 / self.total_wh

    @property
    def mix(self) -> dict[str, float]:
        """Share of each origin in the supply; empty without supply."""
        total_wh = self.total_wh
        if total_wh == 0:
            return {}
        return parts_of(add_origins(self.sources.values()), total_wh)


def total_or_none(values: list[float | None]) -> float | None:
    """Return the sum, or None if any part is undefined."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def add_origins(sources: Iterable[EnergySource]) -> dict[str, float]:
    """Return the origins of several sources added up."""
    total: dict[str, float] = {}
    for source in sources:
        for origin, wh in source.origins_wh.items():
            total[origin] = total.get(origin, 0) + wh
    return total


def parts_of(origins_wh: Mapping[str, float], total_wh: float) -> dict[str, float]:
    """Return each origin's part of total_wh.  Divided one by one: the reciprocal of a total
    too small for a normal float is infinite."""
    return {origin: wh / total_wh for origin, wh in origins_wh.items()}


def gather(flows: Flows, opening: Inventory, policy: Policy) -> Supply:
    """Return the sources of an interval; the battery delivers from the opening inventory."""
    primary = {name: _primary(flows, name, wh) for name, wh in flows.supply_wh.items()
               if name != "battery"}
    unallocated_g = _unallocated_g(flows)
    made = inv.discharge(opening, flows.supply_wh.get("battery", 0))
    short = _short(primary, made.short_wh, policy)
    battery = EnergySource(
        flows.supply_wh.get("battery", 0),
        total_or_none([made.carbon_g, short.carbon_g]),
        add_origins([EnergySource(0, 0, made.origins_wh), short]))
    sources = primary if battery.energy_wh == 0 else {**primary, "battery": battery}
    caused_g = total_or_none([source.carbon_g for source in primary.values()])
    fuel = primary.get("genset")
    return Supply(
        sources=sources, inventory=made.inventory,
        carbon_primary_g=None if caused_g is None else caused_g + unallocated_g,
        direct_g=unallocated_g if fuel is None
        else total_or_none([fuel.carbon_g, unallocated_g]),
        unallocated_g=unallocated_g, loss_wh=made.loss_wh, short_wh=made.short_wh,
        short_carbon_g=short.carbon_g or 0)


def _primary(flows: Flows, name: str, energy_wh: float) -> EnergySource:
    origins = {name: energy_wh}
    share = flows.grid_renewable_share
    if name == "grid" and share is not None:
        origins = {"grid_res": energy_wh * share, "grid_other": energy_wh * (1 - share)}
    if energy_wh == 0:
        return EnergySource(0, 0, origins)
    if name == "genset" and flows.genset_carbon_g is not None:
        return EnergySource(energy_wh, flows.genset_carbon_g, origins)
    factor = flows.factors_g_per_kwh.get(name)
    return EnergySource(energy_wh, None if factor is None else energy_wh * factor / 1000, origins)


def _unallocated_g(flows: Flows) -> float:
    """Return the carbon of fuel burned without output: a test run, a cool-down."""
    if flows.genset_carbon_g is None or flows.supply_wh.get("genset", 0) > 0:
        return 0
    return flows.genset_carbon_g


def _short(primary: Mapping[str, EnergySource], short_wh: float, policy: Policy) -> EnergySource:
    """Return the energy the inventory could not cover: the same interval's other mix."""
    if short_wh == 0:
        return EnergySource(0, 0, {})
    total_wh = sum(source.energy_wh for source in primary.values())
    if total_wh > 0:
        carbon_g = total_or_none([source.carbon_g for source in primary.values()])
        return EnergySource(short_wh, None if carbon_g is None else carbon_g / total_wh * short_wh,
                            inv.scaled(parts_of(add_origins(primary.values()), total_wh), short_wh))
    factor = policy.fallback_g_per_kwh
    return EnergySource(short_wh, None if factor is None else short_wh * factor / 1000,
                        {inv.UNKNOWN: short_wh})
