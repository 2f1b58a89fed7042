"""Many intervals added up: totals of energy and carbon, indicators, period identities.

See docs/accounting.md sections 12, 13 and 15.  An interval whose carbon is undefined adds its
energy, but no carbon; it is counted in undefined_intervals so that no total can pass as complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.roles import NOT_LOADS
from gateway.ledger.compute.kpi import pue, ratio
from gateway.ledger.flows.flows import Adjustment, Flows, Step
from gateway.ledger.flows.identities import carbon_sides, energy_sides, require
from gateway.ledger.flows.inventory import Inventory

RENEWABLE_ORIGINS = ("pv", "grid_res", "wind", "hydro")


@dataclass(frozen=True)
class Book:
    """One accounted interval: its flows, the inventory before it, its step."""

    flows: Flows
    opening: Inventory
    step: Step


@dataclass(frozen=True)
class Series:
    """The books of a period.  Energies Wh, carbon g.

    it_full_g_per_kwh: IT with all other loads, residual and unallocated fuel per IT energy.
    stored_*: gain of the inventory by these intervals.  *_error: how far I1 and I2 are off."""

    steps: tuple[Step, ...]
    supply_wh: Mapping[str, float]
    sinks_wh: Mapping[str, float]
    carbon_by_sink_g: Mapping[str, float]
    origin_by_sink_wh: Mapping[str, Mapping[str, float]]
    carbon_primary_g: float
    direct_g: float
    direct_unallocated_g: float
    residual_wh: float
    residual_carbon_g: float
    losses_wh: float
    adjustment: Adjustment
    stored_wh: float
    stored_g: float
    flag_counts: Mapping[str, int]
    undefined_intervals: int
    energy_identity_error_wh: float
    carbon_identity_error_g: float

    @property
    def e_dc_wh(self) -> float:
        """Energy of the site for PUE: E_dc of docs/accounting.md section 15.2."""
        came = sum(wh for name, wh in self.supply_wh.items() if name != "battery")
        return came - self.sinks_wh.get("export", 0) - self.stored_wh

    def renewable_share(self, sink: str) -> float | None:
        """Share of a sink's energy that came from renewable origins; None without energy."""
        used_wh = self.sinks_wh.get(sink, 0)
        if not used_wh:
            return None
        origins = self.origin_by_sink_wh.get(sink, {})
        return sum(origins.get(origin, 0) for origin in RENEWABLE_ORIGINS) / used_wh


@dataclass(frozen=True)
class ItFigures:
    """Indicators of the IT loads over a period; None = undefined."""

    energy_wh: float
    carbon_g: float
    g_per_kwh: float | None
    full_g_per_kwh: float | None
    pue: float | None


def add_up(books: Sequence[Book]) -> Series:
    """Add up accounted intervals; the inventory may have been set again between two of them.

    Raises Bug if I1 or I2 is broken over the period."""
    steps = [book.step for book in books]
    energy = [energy_sides(book.flows, book.opening, book.step) for book in books]
    carbon = [sides for book in books
              if (sides := carbon_sides(book.flows, book.opening, book.step)) is not None]
    return Series(
        steps=tuple(steps),
        supply_wh=_sum_maps([book.flows.supply_wh for book in books]),
        sinks_wh=_sum_maps([book.flows.sinks_wh for book in books]),
        carbon_by_sink_g=_sum_maps([step.carbon_by_sink_g for step in steps]),
        origin_by_sink_wh=_sum_origins(steps),
        carbon_primary_g=sum(step.carbon_primary_g or 0 for step in steps),
        direct_g=sum(step.direct_g or 0 for step in steps),
        direct_unallocated_g=sum(step.direct_unallocated_g for step in steps),
        residual_wh=sum(step.residual_wh for step in steps),
        residual_carbon_g=sum(step.residual_carbon_g or 0 for step in steps),
        losses_wh=sum(step.losses.total_wh for step in steps),
        adjustment=Adjustment(sum(step.adjustment.energy_wh for step in steps),
                              sum(step.adjustment.carbon_g for step in steps)),
        stored_wh=sum(book.step.inventory.energy_wh - book.opening.energy_wh for book in books),
        stored_g=sum((book.step.inventory.carbon_g or 0) - (book.opening.carbon_g or 0)
                     for book in books),
        flag_counts=dict(Counter(flag for step in steps for flag in step.flags)),
        undefined_intervals=len(books) - len(carbon),
        energy_identity_error_wh=_period("I1 over the period", energy),
        carbon_identity_error_g=_period("I2 over the period", carbon),
    )


def it_figures(series: Series, it_loads: Sequence[str] = ("it",)) -> ItFigures:
    """Return the IT indicators; everything that is not IT, battery or export is overhead."""
    energy_wh = sum(series.sinks_wh.get(load, 0) for load in it_loads)
    carbon_g = sum(series.carbon_by_sink_g.get(load, 0) for load in it_loads)
    overhead_g = sum(g for sink, g in series.carbon_by_sink_g.items()
                     if sink not in it_loads and sink not in NOT_LOADS)
    full_g = carbon_g + overhead_g + series.residual_carbon_g + series.direct_unallocated_g
    return ItFigures(
        energy_wh, carbon_g,
        ratio(carbon_g * 1000, energy_wh), ratio(full_g * 1000, energy_wh),
        pue(series.e_dc_wh, energy_wh))


def _period(name: str, sides: Sequence[tuple[float, float]]) -> float:
    left, right = sum(a for a, _ in sides), sum(b for _, b in sides)
    require(name, left, right, sum(abs(a) + abs(b) for a, b in sides))
    return left - right


def _sum_maps(maps: Sequence[Mapping[str, float | None]] | Sequence[Mapping[str, float]],
              ) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in maps:
        for name, value in one.items():
            total[name] = total.get(name, 0) + (value or 0)
    return total


def _sum_origins(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    total: dict[str, dict[str, float]] = {}
    for step in steps:
        for sink, origins in step.origin_by_sink_wh.items():
            into = total.setdefault(sink, {})
            for origin, wh in origins.items():
                into[origin] = into.get(origin, 0) + wh
    return total
