"""The statement of a period: what the report prints, as one plain dict.

Shared by the gateway (today so far) and the fleet (final).  Every key is explained in
docs/accounting.md.  Undefined = None; a sum over fewer intervals than the period has is
accompanied by counts in `undefined` and shares in `quality`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.core.interval import QUALITY_NAMES, QUARTER_MS
from gateway.core.roles import LOAD_NAMES
from gateway.ledger.books import BookEntry, Books, Options
from gateway.ledger.compute import workloads
from gateway.ledger.counter_limits import Descriptor
from gateway.ledger.factors.factors import FactorSet
from gateway.ledger.flows.identities import carbon_sides
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.methods import methods, notes
from gateway.ledger.series import RENEWABLE_ORIGINS, Book, Series, add_up, it_figures
from gateway.ledger.site import ENERGY_ROLES, AccountedSite, SiteInterval, read_site

FORMAT = "wattproof-statement-1"
PUE_MIN = 0.95              # below 1 by more than meters may differ: a supply is not metered
# Carbon that only a site with such a meter has; without one it is absent, not 0.
NEEDED_METER = {"direct": "genset", "unallocated": "genset", "it": "it", "it_with_overhead": "it",
                "cooling": "cooling", "lighting": "lighting", "other": "other", "export": "grid",
                "stored": "battery", "adjustment": "battery"}
INTERVALS_MAX = 400_000     # ten years of quarter hours and some


@dataclass(frozen=True)
class StatementPeriod:
    """A period in the books.  priced: intervals whose carbon is defined in every part.
    opening: the first inventory known, None if none was; closing: None while unknown."""

    site: AccountedSite
    entries: Sequence[BookEntry]
    stepped: Series
    priced: Series
    compute: workloads.Compute
    opening: Inventory | None
    closing: Inventory | None


def build_statement(descriptor: Descriptor, intervals: Iterable[SiteInterval],
                    factors: FactorSet, options: Options | None = None) -> dict[str, Any]:
    """Return the statement of a site.

    descriptor: the site descriptor (CONFIG event).  intervals: of one length, in any order,
    each start at most once; quarter hours of the period that are not among them count as
    missing.  Raises ConfigError for a bad descriptor, ValueError for bad intervals."""
    options = options or Options()
    site = read_site(descriptor)
    period = keep_books(site, fill(list(intervals), options), factors, options)
    entries = period.entries
    start_ms = entries[0].interval.start_ms if entries else options.from_ms
    end_ms = entries[-1].interval.end_ms if entries else options.to_ms
    return {
        "format": FORMAT, "site": site.id, "timezone": site.timezone,
        "from": utc_text(start_ms), "to": utc_text(end_ms),
        "energy_wh": _energy(period), "carbon_g": _carbon(period),
        "compute": _compute(period),
        "renewable_share_it": (period.stepped.renewable_share("it") if site.is_metered("pv")
                               else None),
        "pue": _pue(period),
        "quality": _quality(site, entries, ENERGY_ROLES),
        "quality_by_role": {role: _quality(site, entries, (role,))
                            for role in ENERGY_ROLES if site.is_metered(role)},
        "battery": _battery(period), "adjustments": _adjustments(period),
        "identities": {"energy_error_wh": period.stepped.energy_identity_error_wh,
                       "carbon_error_g": period.priced.carbon_identity_error_g},
        "undefined": _undefined(period),
        "factors": {"id": factors.id, "sha256": factors.sha256,
                    "estimated": factors.estimated, "version": factors.version,
                    "scope": factors.scope, "basis": factors.basis, "zone": factors.zone,
                    "unconfirmed": factors.unconfirmed},
        "nodes": {name: _node(period, name) for name in site.nodes},
        "workloads": [{"node": node, "name": name, **workloads.figures(
            period.compute.accounts[node, name])} for node, name in site.workloads],
        "series": [_row(site, entry) for entry in entries],
        "methods": methods(factors, options), "notes": notes(site, entries, factors),
    }


def fill(intervals: list[SiteInterval], options: Options) -> list[SiteInterval]:
    """Return the intervals of the period in order, an empty one where there is none."""
    found = sorted(intervals, key=lambda each: each.start_ms)
    length_ms = found[0].length_ms if found else QUARTER_MS
    start_ms = options.from_ms if options.from_ms is not None else (
        found[0].start_ms if found else 0)
    end_ms = options.to_ms if options.to_ms is not None else (
        found[-1].end_ms if found else start_ms)
    if (end_ms - start_ms) // length_ms > INTERVALS_MAX:
        raise ValueError(f"at most {INTERVALS_MAX} intervals fit into a statement")
    by_start: dict[int, SiteInterval] = {}
    for each in found:
        if not start_ms <= each.start_ms < end_ms:
            continue
        if each.start_ms in by_start or (each.start_ms - start_ms) % length_ms \
                or each.length_ms != length_ms:
            raise ValueError(f"interval at {utc_text(each.start_ms)} is double or off the grid")
        by_start[each.start_ms] = each
    return [by_start.get(at) or SiteInterval(at, length_ms)
            for at in range(start_ms, end_ms, length_ms)]


def keep_books(site: AccountedSite, intervals: Sequence[SiteInterval], factors: FactorSet,
               options: Options) -> StatementPeriod:
    """Account a period's intervals in order.  Raises Bug if the books do not close."""
    books = Books(site, factors, options)
    entries = [books.advance(interval) for interval in intervals]
    stepped = [Book(entry.flows, entry.opening or Inventory(), entry.step) for entry in entries
               if entry.flows is not None and entry.step is not None]
    priced = [book for book in stepped
              if carbon_sides(book.flows, book.opening, book.step) is not None]
    return StatementPeriod(
        site, entries, add_up(stepped), add_up(priced),
        workloads.account(site, entries, options.spread_idle),
        next((entry.opening for entry in entries if entry.opening is not None), None)
        if entries else Inventory(),
        entries[-1].closing if entries else Inventory())


def utc_text(utc_ms: int | None) -> str | None:
    """Return RFC 3339 text in UTC, milliseconds only where there are any."""
    if utc_ms is None:
        return None
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = utc_ms % 1000
    return f"{moment}.{rest:03d}Z" if rest else f"{moment}Z"


def _energy(period: StatementPeriod) -> dict[str, float | None]:
    energy: dict[str, float | None] = {}
    for role in ENERGY_ROLES:
        values = [wh for entry in period.entries if period.site.is_metered(role)
                  and (wh := period.site.energy_wh(entry.interval, role)) is not None]
        energy[role] = sum(values) if values else None
    known = bool(period.stepped.steps) and period.site.has_supply
    energy["residual"] = period.stepped.residual_wh if known else None
    return energy


def _pue(period: StatementPeriod) -> float | None:
    """Return PUE; None where the site meters no IT or no supply, or where its IT took more than
    its supply meters show: a number then would be one of the metering, not of the site."""
    if not period.site.is_metered("it") or not period.site.has_supply:
        return None
    found = it_figures(period.stepped).pue
    return found if found is not None and found >= PUE_MIN else None


def _carbon(period: StatementPeriod) -> dict[str, float | None]:
    books = period.priced
    if not books.steps:
        return dict.fromkeys(
            ("total", "direct", "indirect", "it", "it_with_overhead", "cooling", "lighting",
             "other", "export", "residual", "unallocated", "stored", "adjustment"))
    sinks = books.carbon_by_sink_g
    overhead = sum(sinks.get(load, 0.0) for load in LOAD_NAMES if load != "it")
    it = sinks.get("it", 0.0)
    found = {
        "total": books.carbon_primary_g, "direct": books.direct_g,
        "indirect": books.carbon_primary_g - books.direct_g, "it": it,
        "it_with_overhead": (it + overhead + books.residual_carbon_g
                             + books.direct_unallocated_g),
        "cooling": sinks.get("cooling", 0.0), "lighting": sinks.get("lighting", 0.0),
        "other": sinks.get("other", 0.0), "export": sinks.get("export", 0.0),
        "residual": books.residual_carbon_g, "unallocated": books.direct_unallocated_g,
        "stored": books.stored_g, "adjustment": books.adjustment.carbon_g,
    }
    return {name: grams if NEEDED_METER.get(name, "") in ("", *period.site.metered) else None
            for name, grams in found.items()}


def _compute(period: StatementPeriod) -> dict[str, float | None]:
    total = workloads.figures(period.compute.workloads())
    operator = [account.carbon_g for (_, name), account in period.compute.accounts.items()
                if name == workloads.OPERATOR and account.priced]
    return {
        "reserved_core_hours": total["reserved_core_hours"],
        "used_core_hours": total["used_core_hours"],
        "gpu_hours": None, "tasks": total["tasks"],
        "g_per_core_hour": total["g_per_core_hour"],
        "g_per_used_core_hour": total["g_per_used_core_hour"],
        "g_per_task": total["g_per_task"], "g_per_gpu_hour": None,
        "carbon_g": total["carbon_g"],
        "operator_carbon_g": sum(operator) if operator else None,
        "pool_g": period.compute.pool_g if period.site.nodes else None,
        "pool_rate_g_per_kwh": period.compute.pool_rate_g_per_kwh,
    }


def _node(period: StatementPeriod, name: str) -> dict[str, object]:
    own = workloads.figures(period.compute.node(name))
    cpu_h = period.compute.node_cpu_h.get(name)
    hours = sum(entry.interval.length_ms for entry in period.entries
                if (use := entry.interval.nodes.get(name)) is not None
                and use.cpu_s is not None) / 3_600_000
    cores = period.site.nodes[name].cores
    return {**own, "metered_wh": period.compute.node_wh.get(name), "cpu_core_hours": cpu_h,
            "cpu_share": cpu_h / (cores * hours) if cpu_h is not None and hours else None}


def _quality(site: AccountedSite, entries: Sequence[BookEntry],
             roles: Sequence[str]) -> dict[str, float | None]:
    """Return shares of energy by quality.  What is missing is weighed by the mean of what the
    same role (else any role) gave in the other intervals."""
    weight = [0.0, 0.0, 0.0]
    held = [role for role in roles if site.is_metered(role)]
    means: dict[str, float | None] = {}
    for role in held:
        values = [wh for entry in entries
                  if (wh := site.energy_wh(entry.interval, role)) is not None]
        means[role] = sum(values) / len(values) if values else None
    known = [mean for mean in means.values() if mean is not None]
    any_mean = sum(known) / len(known) if known else 1.0
    for entry in entries:
        for role in held:
            wh, mean = site.energy_wh(entry.interval, role), means[role]
            stand_in = any_mean if mean is None else mean
            weight[site.quality(entry.interval, role)] += stand_in if wh is None else wh
    total = sum(weight)
    return {name: part / total if total else None
            for name, part in zip(QUALITY_NAMES, weight, strict=True)}


def _battery(period: StatementPeriod) -> dict[str, object] | None:
    if period.site.battery is None:
        return None
    return {"opening": _held(period.opening), "closing": _held(period.closing),
            "assumed_start": None if period.opening is None else period.opening.assumed,
            "losses_wh": period.stepped.losses_wh}


def _held(inventory: Inventory | None) -> dict[str, object]:
    if inventory is None:
        return dict.fromkeys(("stored_wh", "carbon_g", "g_per_kwh", "origins_wh"))
    return {"stored_wh": inventory.energy_wh, "carbon_g": inventory.carbon_g,
            "g_per_kwh": inventory.g_per_kwh, "origins_wh": dict(inventory.origins_wh)}


def _adjustments(period: StatementPeriod) -> dict[str, object]:
    books = period.stepped
    return {
        "energy_wh": books.adjustment.energy_wh, "carbon_g": books.adjustment.carbon_g,
        "anchor_wh": sum(entry.soc_anchor_wh for entry in period.entries),
        "blind_wh": sum(entry.blind.energy_wh for entry in period.entries),
        "blind_g": sum(entry.blind.carbon_g for entry in period.entries),
        "flags": books.flag_counts,
    }


def _undefined(period: StatementPeriod) -> dict[str, object]:
    unread: dict[str, int] = {}
    for entry in period.entries:
        for role in entry.unread:
            unread[role] = unread.get(role, 0) + 1
    return {
        "intervals": len(period.entries),
        "carbon_intervals": len(period.entries) - len(period.priced.steps),
        "no_factor_intervals": sum(entry.grid_g_per_kwh is None for entry in period.entries),
        "node_intervals": period.compute.not_split, "unread": unread,
    }


def _row(site: AccountedSite, entry: BookEntry) -> dict[str, object]:
    """Return one interval for charts."""
    step, interval, held = entry.step, entry.interval, entry.closing
    roles = [role for role in ENERGY_ROLES if site.is_metered(role)]
    worst = max((site.quality(interval, role) for role in roles), default=2)
    return {
        "start": utc_text(interval.start_ms), "length_s": interval.length_ms // 1000,
        "quality": QUALITY_NAMES[worst],
        "energy_wh": {**{role: site.energy_wh(interval, role) if role in roles else None
                         for role in ENERGY_ROLES},
                      "residual": None if step is None or not site.has_supply
                      else step.residual_wh},
        "grid_g_per_kwh": entry.grid_g_per_kwh,
        "bus_g_per_kwh": None if step is None else step.ci_g_per_kwh,
        "carbon_g": {} if step is None else {
            **step.carbon_by_sink_g, "residual": step.residual_carbon_g},
        "renewable_share": None if step is None or not step.mix else sum(
            step.mix.get(origin, 0.0) for origin in RENEWABLE_ORIGINS),
        "battery_stored_wh": None if site.battery is None or held is None else held.energy_wh,
        "battery_g_per_kwh": None if held is None else held.g_per_kwh,
        "flags": [] if step is None else list(step.flags),
        "nodes": {name: use.energy_wh for name, use in interval.nodes.items()},
    }
