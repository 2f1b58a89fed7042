"""Compute of a period: nodes and workloads with their energy, carbon and units.

See docs/accounting.md section 14.  Carbon of a workload = its energy in each interval x that
interval's full rate + its share of the period's pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.core.roles import NOT_LOADS
from gateway.ledger.books import BookEntry
from gateway.ledger.compute.compute import (
    Host,
    HostWorkload,
    UnitRates,
    Units,
    host_split,
    overhead_rate,
    period_pool,
    unit_rates,
)
from gateway.ledger.site import AccountedSite, NodeUse

OPERATOR = ""               # the name under which a node's unreserved and unused energy stands


@dataclass
class Account:
    """A workload's (or a node's operator's) sums.  *_priced: only intervals with a rate."""

    dynamic_wh: float = 0.0
    idle_wh: float = 0.0
    carbon_g: float = 0.0
    energy_priced_wh: float = 0.0
    core_h_reserved: float = 0.0
    core_h_used: float = 0.0
    tasks: float = 0.0
    core_h_reserved_priced: float = 0.0
    core_h_used_priced: float = 0.0
    tasks_priced: float = 0.0
    intervals: int = 0
    priced: int = 0

    def add(self, other: Account) -> None:
        """Add another account's sums."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Compute:
    """The compute of a period: accounts by (node, workload); node energies where read.

    pool_rate_g_per_kwh: overhead of intervals without IT and unallocated fuel, per IT energy.
    not_split: node intervals whose energy or workloads were not read."""

    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    node_wh: dict[str, float] = field(default_factory=dict)
    node_cpu_h: dict[str, float] = field(default_factory=dict)
    pool_g: float = 0.0
    pool_rate_g_per_kwh: float | None = None
    not_split: int = 0

    def workloads(self, node: str | None = None) -> Account:
        """Return all workloads' sums, of one node or of all; the operator's part is left out."""
        total = Account()
        for (of, name), account in self.accounts.items():
            if name != OPERATOR and node in (None, of):
                total.add(account)
        return total

    def node(self, node: str) -> Account:
        """Return a node's sums, the operator's part included."""
        total = self.workloads(node)
        total.add(self.accounts.get((node, OPERATOR), Account()))
        return total


def account(site: AccountedSite, entries: Sequence[BookEntry],
            spread_idle: bool = False) -> Compute:
    """Account the compute of a period's entries."""
    compute = Compute()
    for name, load in site.workloads:
        compute.accounts[name, load] = Account()
    for entry in entries:
        rate = None if entry.step is None else overhead_rate(entry.step)
        for name, use in entry.interval.nodes.items():
            _node(compute, site, entry, (name, use, rate, spread_idle))
    _share_pool(compute, entries)
    return compute


def _node(compute: Compute, site: AccountedSite, entry: BookEntry,
          what: tuple[str, NodeUse, float | None, bool]) -> None:
    name, use, rate, spread_idle = what
    dt_s = entry.interval.length_ms / 1000
    if use.energy_wh is not None:
        compute.node_wh[name] = compute.node_wh.get(name, 0.0) + use.energy_wh
    if use.cpu_s is not None:
        compute.node_cpu_h[name] = compute.node_cpu_h.get(name, 0.0) + use.cpu_s / 3600
    host = _host(site, name, use, dt_s)
    if host is None:
        compute.not_split += 1
        for load, work in use.workloads.items():
            part = _units(work.cores_reserved, work.reserved_s, work.cpu_s, work.tasks)
            compute.accounts.setdefault((name, load), Account()).add(part)
        return
    split = host_split(host, spread_idle)
    for load, work in use.workloads.items():
        part = _units(work.cores_reserved, work.reserved_s, work.cpu_s, work.tasks)
        part.dynamic_wh, part.idle_wh = split.dynamic_wh[load], split.idle_wh[load]
        compute.accounts.setdefault((name, load), Account()).add(_priced(part, rate))
    own = Account(split.unattributed_dynamic_wh, split.unreserved_idle_wh, intervals=1)
    compute.accounts.setdefault((name, OPERATOR), Account()).add(_priced(own, rate))


def _host(site: AccountedSite, name: str, use: NodeUse, dt_s: float) -> Host | None:
    facts = site.nodes.get(name)
    if facts is None or use.energy_wh is None:
        return None
    loads: dict[str, HostWorkload] = {}
    for load, work in use.workloads.items():
        if work.cpu_s is None or work.cores_reserved is None or work.reserved_s is None:
            return None
        loads[load] = HostWorkload(work.cpu_s, work.cores_reserved, work.reserved_s)
    return Host(use.energy_wh, dt_s, facts.cores, facts.idle_w, loads)


def _units(cores: float | None, reserved_s: float | None, cpu_s: float | None,
           tasks: float | None) -> Account:
    held_h = 0.0 if cores is None or reserved_s is None else cores * reserved_s / 3600
    return Account(core_h_reserved=held_h, core_h_used=(cpu_s or 0.0) / 3600,
                   tasks=tasks or 0.0, intervals=0 if cpu_s is None else 1)


def _priced(part: Account, rate: float | None) -> Account:
    if rate is None:
        return part
    energy_wh = part.dynamic_wh + part.idle_wh
    part.carbon_g, part.energy_priced_wh, part.priced = energy_wh * rate / 1000, energy_wh, 1
    part.core_h_reserved_priced = part.core_h_reserved
    part.core_h_used_priced, part.tasks_priced = part.core_h_used, part.tasks
    return part


def _share_pool(compute: Compute, entries: Sequence[BookEntry]) -> None:
    """Spread what no interval's IT energy could carry over all IT energy of the period."""
    rows, unallocated_g = [], 0.0
    for entry in entries:
        step, flows = entry.step, entry.flows
        if step is None or flows is None or step.residual_carbon_g is None:
            continue
        unallocated_g += step.direct_unallocated_g
        grams = [g or 0.0 for sink, g in step.carbon_by_sink_g.items()
                 if sink not in ("it", *NOT_LOADS)]
        rows.append((flows.sinks_wh.get("it", 0.0), step.carbon_by_sink_g.get("it") or 0.0,
                     sum(grams) + step.residual_carbon_g))
    pool = period_pool(rows, unallocated_g)
    compute.pool_g, compute.pool_rate_g_per_kwh = pool.pool_g, pool.pool_rate_g_per_kwh
    for each in compute.accounts.values():
        each.carbon_g += each.energy_priced_wh * (pool.pool_rate_g_per_kwh or 0.0) / 1000


def figures(part: Account) -> dict[str, float | None]:
    """Return an account as report keys; undefined where no interval had a rate or was read."""
    known, carbon_g = part.intervals > 0, part.carbon_g if part.priced else None
    rates = UnitRates(None, None, None, None) if carbon_g is None else unit_rates(
        carbon_g, 0.0, Units(part.core_h_reserved_priced * 3600, part.core_h_used_priced * 3600,
                             tasks=part.tasks_priced))
    return {
        "energy_wh": part.dynamic_wh + part.idle_wh if known else None,
        "dynamic_wh": part.dynamic_wh if known else None,
        "idle_wh": part.idle_wh if known else None,
        "carbon_g": carbon_g,
        "reserved_core_hours": part.core_h_reserved if known else None,
        "used_core_hours": part.core_h_used if known else None,
        "tasks": part.tasks if known else None,
        "g_per_core_hour": rates.g_per_reserved_core_hour,
        "g_per_used_core_hour": rates.g_per_used_core_hour,
        "g_per_task": rates.g_per_task,
    }
