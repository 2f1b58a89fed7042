"""The books of a site, interval by interval: the inventory moves on, nothing is forgotten.

Used live by the gateway and finally by the fleet.  An interval whose supply was not read has
no carbon (undefined), yet the battery's known flows still move the inventory; what they bring
at an assumed factor is booked as an adjustment.  Until a first state of charge is read nobody
knows what a battery holds: its inventory is None, and so is the carbon of intervals in which
it moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.ledger.factors.factors import FactorSet
from gateway.ledger.flows import inventory as inv
from gateway.ledger.flows.balance import bus_step
from gateway.ledger.flows.flows import Adjustment, Flows, Policy, Step
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.site import SINK_ROLES, SUPPLY_ROLES, AccountedSite, SiteInterval

FUEL = "diesel"
# The battery management's word counts where it is sure: at the ends.
SOC_ANCHOR_FULL, SOC_ANCHOR_EMPTY = 0.995, 0.005
# An assumed opening is forgotten when less than this share of the content is of origin unknown.
ASSUMED_SHARE_MIN = 0.001


@dataclass(frozen=True)
class Options:
    """Choices a statement prints.  from_ms, to_ms: the period (None: that of the intervals).
    opening: the inventory to start from (None: assumed from the first state of charge).
    spread_idle: unreserved idle on the reservations instead of the operator's pool."""

    from_ms: int | None = None
    to_ms: int | None = None
    opening: Inventory | None = None
    attribution: str = "proportional"
    residual: str = "report"
    spread_idle: bool = False


@dataclass(frozen=True)
class BookEntry:
    """One interval in the books.  flows and step are None where a supply was not read, or the
    battery moved while nobody knew what it held; opening and closing are None while unknown.

    blind: what the inventory gained without a step.  soc_anchor_wh: its correction to the BMS.
    unread: energy roles that are metered but were not read."""

    interval: SiteInterval
    grid_g_per_kwh: float | None
    opening: Inventory | None
    closing: Inventory | None
    flows: Flows | None = None
    step: Step | None = None
    blind: Adjustment = field(default=Adjustment())
    soc_anchor_wh: float = 0.0
    unread: tuple[str, ...] = ()


def assumed_opening(site: AccountedSite, first: SiteInterval,
                    grid_g_per_kwh: float | None) -> Inventory | None:
    """Return the inventory before a site's first interval, flagged assumed: the energy of the
    state of charge at the grid's factor.  None if none was read: missing is not empty."""
    battery = site.battery
    if battery is None:
        return Inventory()
    if first.soc is None:
        return None
    charged = (first.energy_wh.get("battery_charge") or 0) * battery.eta_charge
    drawn = (first.energy_wh.get("battery_discharge") or 0) / battery.eta_discharge
    before = first.soc * battery.capacity_wh - charged + drawn
    energy_wh = min(max(before, 0.0), battery.capacity_wh)
    carbon_g = 0.0 if energy_wh == 0 else (
        None if grid_g_per_kwh is None else energy_wh * grid_g_per_kwh / 1000)
    return Inventory(energy_wh, carbon_g, {inv.UNKNOWN: energy_wh} if energy_wh else {},
                     battery.eta_charge, battery.eta_discharge, battery.standby_w, True)


class Books:
    """Takes a site's intervals in the order of time; `inventory` is what the battery holds,
    None while nobody knows."""

    def __init__(self, site: AccountedSite, factors: FactorSet,
                 options: Options | None = None) -> None:
        self.site = site
        self.factors = factors
        self.options = options or Options()
        self.inventory = self._configured(self.options.opening)

    def advance(self, interval: SiteInterval) -> BookEntry:
        """Account one interval and move the inventory on.  Raises Bug if the books of the
        interval do not close."""
        factors = self.factors.means(interval.start_ms, interval.length_ms)
        grid = factors.get("grid")
        if self.inventory is None:
            self.inventory = assumed_opening(self.site, interval, grid)
        unread = tuple(role for role in (*SUPPLY_ROLES.values(), *SINK_ROLES.values())
                       if self.site.energy_wh(interval, role) is None)
        entry = BookEntry(interval, grid, self.inventory, self.inventory, unread=unread)
        entry = self._unopened(entry, factors) if self.inventory is None \
            else self._opened(entry, self.inventory, factors)
        self.inventory = entry.closing
        return entry

    def _unopened(self, entry: BookEntry, factors: dict[str, float | None]) -> BookEntry:
        """Book an interval before the first state of charge: as without a battery if its meter
        says that it rested, else undefined."""
        if self._unread_supply(entry) or any(
                self.site.energy_wh(entry.interval, role) != 0
                for role in ("battery_charge", "battery_discharge")):
            return entry
        flows = self._flows(entry.interval, factors)
        step = bus_step(flows, Inventory(), self._policy(entry))
        return replace(entry, flows=flows, step=step)

    def _opened(self, entry: BookEntry, opening: Inventory,
                factors: dict[str, float | None]) -> BookEntry:
        if self._unread_supply(entry):
            entry = self._blind(entry, opening)
        else:
            flows = self._flows(entry.interval, factors)
            step = bus_step(flows, opening, self._policy(entry))
            entry = replace(entry, flows=flows, step=step, closing=step.inventory)
        return self._soc_anchored(entry)

    def _policy(self, entry: BookEntry) -> Policy:
        return Policy(self.options.attribution, self.options.residual, entry.grid_g_per_kwh)

    def _unread_supply(self, entry: BookEntry) -> bool:
        return any(role in entry.unread for role in SUPPLY_ROLES.values())

    def _configured(self, held: Inventory | None) -> Inventory | None:
        """Return a carried inventory with the efficiencies this site is configured for."""
        battery = self.site.battery
        if held is None or battery is None:
            return held
        return replace(held, eta_charge=battery.eta_charge, eta_discharge=battery.eta_discharge,
                       standby_w=battery.standby_w)

    def _flows(self, interval: SiteInterval, factors: dict[str, float | None]) -> Flows:
        read = {role: self.site.energy_wh(interval, role)
                for role in (*SUPPLY_ROLES.values(), *SINK_ROLES.values())}
        return Flows(
            supply_wh={name: wh for name, role in SUPPLY_ROLES.items()
                       if (wh := read[role]) is not None},
            sinks_wh={name: wh for name, role in SINK_ROLES.items()
                      if (wh := read[role]) is not None},
            factors_g_per_kwh=factors, genset_carbon_g=self._fuel_g(interval),
            dt_s=interval.length_ms / 1000)

    def _fuel_g(self, interval: SiteInterval) -> float | None:
        """Return the carbon of the fuel burned: from litres, never from the genset's kWh."""
        per_litre = self.factors.fuel_g_per_litre.get(FUEL)
        if interval.fuel_l is None or per_litre is None:
            return None
        return interval.fuel_l * float(per_litre)

    def _blind(self, entry: BookEntry, opening: Inventory) -> BookEntry:
        """Move the inventory by the battery's own meter alone, at the grid's factor."""
        interval = entry.interval
        out_wh = self.site.energy_wh(interval, "battery_discharge") or 0.0
        in_wh = self.site.energy_wh(interval, "battery_charge") or 0.0
        held = inv.discharge(opening, out_wh).inventory
        if in_wh:
            carbon = (None if entry.grid_g_per_kwh is None
                      else in_wh * entry.grid_g_per_kwh / 1000)
            held = inv.charge(held, {inv.UNKNOWN: in_wh}, carbon).inventory
        held = inv.stand_by(held, interval.length_ms / 1000).inventory
        gained_g = (0.0 if held.carbon_g is None or opening.carbon_g is None
                    else held.carbon_g - opening.carbon_g)
        gained = Adjustment(held.energy_wh - opening.energy_wh, gained_g)
        return replace(entry, closing=held, blind=gained)

    def _soc_anchored(self, entry: BookEntry) -> BookEntry:
        """Set the inventory to the BMS value at full and at empty; carbon stays."""
        soc, battery, held, moved_wh = entry.interval.soc, self.site.battery, entry.closing, 0.0
        if held is None:
            return entry
        if soc is not None and battery is not None and not SOC_ANCHOR_EMPTY < soc < SOC_ANCHOR_FULL:
            held, moved_wh = inv.anchor_to_soc(held, soc * battery.capacity_wh)
        return replace(entry, closing=_settled(held), soc_anchor_wh=moved_wh)


def _settled(held: Inventory) -> Inventory:
    """Return the inventory without the flag `assumed` once the assumed part has left it."""
    unknown_wh = held.origins_wh.get(inv.UNKNOWN, 0)
    if held.assumed and unknown_wh < ASSUMED_SHARE_MIN * held.energy_wh:
        return replace(held, assumed=False)
    return held
