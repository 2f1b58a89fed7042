"""Figures of this moment, from powers: shown on page, console and status, never evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.core.roles import LOAD_NAMES
from gateway.ledger.compute.compute import Host, HostWorkload, host_split, overhead_rate
from gateway.ledger.flows.balance import bus_step
from gateway.ledger.flows.flows import Flows, Policy, Step
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.series import RENEWABLE_ORIGINS

MOMENT_S = 1.0              # powers become the energy of one second: too short to run empty


@dataclass(frozen=True)
class LiveNode:
    """A node now: power (None: not read), cores, calibrated idle power, and by workload the
    cores busy (CPU seconds per second; None: not read) and the cores reserved."""

    name: str
    power_w: float | None
    cores: float
    idle_w: float
    workloads: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class LiveFigures:
    """None = unknown now.  core_hour_g: per reserved core-hour, overhead included.
    residual_w: power no meter accounts for; None while a load is not read."""

    grid_g_per_kwh: float | None
    bus_g_per_kwh: float | None
    core_hour_g: float | None
    battery_g_per_kwh: float | None
    renewable_share_it: float | None
    residual_w: float | None


def live_figures(powers_w: Mapping[str, float | None], inventory: Inventory | None,
                 factors_g_per_kwh: Mapping[str, float | None],
                 nodes: Sequence[LiveNode] = ()) -> LiveFigures:
    """Return the figures of a moment.

    powers_w: by role grid (import +), pv, battery (discharge +), genset, it, cooling,
    lighting, other; None = not read, absent = nobody meters it (0).  inventory: the battery's
    books so far, None while nobody knows what it holds.  factors: by source, as FactorSet.means
    or at gives them."""
    grid = factors_g_per_kwh.get("grid")
    if inventory is None:
        return _without_books(powers_w, factors_g_per_kwh, nodes)
    known = {role: powers_w.get(role, 0.0) for role in ("grid", "pv", "battery", "genset")}
    if any(power is None for power in known.values()):
        return LiveFigures(grid, None, None, inventory.g_per_kwh, None, None)
    step = _moment(powers_w, inventory, factors_g_per_kwh)
    is_supplied = any(role in powers_w for role in known)      # a supply is metered at all
    complete = all(powers_w.get(load, 0.0) is not None for load in LOAD_NAMES)
    return LiveFigures(
        grid_g_per_kwh=grid, bus_g_per_kwh=step.ci_g_per_kwh,
        core_hour_g=_core_hour_g(step, powers_w.get("it", 0.0), nodes),
        battery_g_per_kwh=inventory.g_per_kwh,
        renewable_share_it=(_renewable_share(step, powers_w.get("it", 0.0))
                            if {"pv", "battery"} & set(powers_w) else None),
        residual_w=step.residual_wh * 3600 / MOMENT_S if complete and is_supplied else None)


def _without_books(powers_w: Mapping[str, float | None],
                   factors_g_per_kwh: Mapping[str, float | None],
                   nodes: Sequence[LiveNode]) -> LiveFigures:
    """Return the figures while nobody knows what the battery holds: only where it gives
    nothing is the mix known without."""
    figures = replace(live_figures(powers_w, Inventory(), factors_g_per_kwh, nodes),
                      battery_g_per_kwh=None)
    if (powers_w.get("battery") or 0.0) <= 0:
        return figures
    return replace(figures, bus_g_per_kwh=None, core_hour_g=None, renewable_share_it=None)


def _moment(powers_w: Mapping[str, float | None], inventory: Inventory,
            factors_g_per_kwh: Mapping[str, float | None]) -> Step:
    """Return the books of one second at these powers."""
    def wh(power_w: float | None) -> float:
        return max(power_w or 0.0, 0.0) * MOMENT_S / 3600

    grid_w, battery_w = powers_w.get("grid") or 0.0, powers_w.get("battery") or 0.0
    supply = {"grid": wh(grid_w), "pv": wh(powers_w.get("pv")), "battery": wh(battery_w),
              "genset": wh(powers_w.get("genset"))}
    sinks = {load: wh(powers_w.get(load)) for load in LOAD_NAMES
             if powers_w.get(load, 0.0) is not None}
    sinks |= {"battery": wh(-battery_w), "export": wh(-grid_w)}
    flows = Flows(supply, sinks, factors_g_per_kwh, dt_s=MOMENT_S)
    return bus_step(flows, inventory, Policy(fallback_g_per_kwh=factors_g_per_kwh.get("grid")))


def _renewable_share(step: Step, it_w: float | None) -> float | None:
    if not it_w or not step.mix:
        return None
    return sum(step.mix.get(origin, 0) for origin in RENEWABLE_ORIGINS)


def _core_hour_g(step: Step, it_w: float | None, nodes: Sequence[LiveNode]) -> float | None:
    """Return the carbon of one reserved core-hour: all workloads' energy at the full rate."""
    rate = overhead_rate(step)
    if not it_w or rate is None:
        return None
    wh, cores = 0.0, 0.0
    for node in nodes:
        host = _host(node)
        if host is None:
            return None
        split = host_split(host)
        wh += sum(split.energy_wh(name) for name in host.workloads)
        cores += sum(load.cores_reserved for load in host.workloads.values())
    return wh * rate / 1000 / cores if cores else None


def _host(node: LiveNode) -> Host | None:
    """Return a node's next hour at this power, or None if something of it was not read."""
    if node.power_w is None:
        return None
    loads: dict[str, HostWorkload] = {}
    for name, (busy, reserved) in node.workloads.items():
        if busy is None or reserved is None:
            return None
        loads[name] = HostWorkload(busy * 3600, reserved, 3600)
    return Host(node.power_w, 3600, node.cores, node.idle_w, loads)
