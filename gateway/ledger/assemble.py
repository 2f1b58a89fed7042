"""From channels to roles: the amounts of one interval become a SiteInterval.

Shared by the gateway (live) and the fleet (final).  Signs: a meter counts import and export at
its own point; what that means for the site is decided here, by role, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core import roles
from gateway.core.interval import MEASURED, MISSING
from gateway.ledger.counter_limits import Descriptor
from gateway.ledger.site import NodeUse, SiteInterval, WorkloadUse

# energy role -> (device role, counters that can give it, best first)
SOURCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    energy.name: (energy.role, energy.counters) for energy in roles.ENERGIES}


@dataclass(frozen=True)
class Amount:
    """What a channel gave in an interval, in its measurand's unit (CT ratio applied): the
    difference of a counter, the mean (soc: the last) of a gauge.  value None: missing."""

    value: float | None
    quality: int = MEASURED


# (device, item, measurand name); item "" is the device itself.
Amounts = Mapping[tuple[str, str, str], Amount]
ABSENT = Amount(None, MISSING)


def site_interval(descriptor: Descriptor, start_ms: int, length_ms: int,
                  amounts: Amounts) -> SiteInterval:
    """Return the interval of a site from the amounts of its channels.

    A channel not in amounts counts as not read.  Several meters of one role add up; one that
    was not read makes the role's energy None, for a part is not the whole."""
    energy: dict[str, float | None] = {}
    quality: dict[str, int] = {}
    for role, (device_role, counters) in SOURCES.items():
        found = [_counter(amounts, str(device["name"]), counters)
                 for device in descriptor["devices"] if device.get("role") == device_role]
        if found:
            energy[role], quality[role] = _sum(found)
    return SiteInterval(
        start_ms, length_ms, energy, quality,
        nodes={str(node["name"]): _node(descriptor, node, length_ms, amounts)
               for node in descriptor.get("nodes") or ()},
        soc=_soc(descriptor, amounts))


def _counter(amounts: Amounts, device: str, counters: Sequence[str]) -> Amount:
    for name in counters:
        found = amounts.get((device, "", name))
        if found is not None:
            return found
    return ABSENT


def _sum(found: Sequence[Amount]) -> tuple[float | None, int]:
    values = [amount.value for amount in found if amount.value is not None]
    if len(values) < len(found):
        return None, MISSING
    return sum(values), max(amount.quality for amount in found)


def _node(descriptor: Descriptor, node: Descriptor, length_ms: int,
          amounts: Amounts) -> NodeUse:
    name = str(node["name"])
    energy = _counter(amounts, str(node.get("meter") or ""), roles.energy_of("it").counters)
    loads = [str(load["name"]) for load in descriptor.get("workloads") or ()
             if load["node"] == name]
    return NodeUse(
        energy.value, {load: _workload(amounts, name, load, length_ms) for load in loads},
        amounts.get((name, "", "cpu_time"), ABSENT).value, energy.quality)


def _workload(amounts: Amounts, node: str, load: str, length_ms: int) -> WorkloadUse:
    cores = amounts.get((node, load, "cores_reserved"), ABSENT).value
    return WorkloadUse(
        cpu_s=amounts.get((node, load, "cpu_time"), ABSENT).value, cores_reserved=cores,
        reserved_s=None if cores is None else length_ms / 1000,
        tasks=amounts.get((node, load, "tasks_total"), ABSENT).value)


def _soc(descriptor: Descriptor, amounts: Amounts) -> float | None:
    for device in descriptor["devices"]:
        percent = amounts.get((str(device["name"]), "", "state_of_charge"), ABSENT).value
        if percent is not None:
            return percent / 100
    return None
